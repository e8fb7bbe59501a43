# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# distutils: language = c++
# distutils: extra_compile_args = -O3 -march=native
"""Sampling in the structure of llama.cpp, written from its description: an array of {id, logit, p}, of which few are
brought into order by a partial sort or a histogram of 128 buckets, and more where that turns out to be too few."""

from libc.math cimport expf
from libcpp.vector cimport vector

cdef extern from *:
    """
    #include <algorithm>
    #include <cmath>
    #include <cstdint>
    #include <vector>
    namespace {
    struct Candidate { std::int32_t id; float logit, p; };
    inline bool above(const Candidate& a, const Candidate& b) { return a.logit > b.logit; }

    struct Candidates {
      std::vector<Candidate> data, spare;
      std::vector<int> bucket;
      std::size_t size = 0;
      bool sorted = false;

      void fill(const float* logits, std::size_t n, float temperature) {
        if (data.size() < n) { data.resize(n); spare.resize(n); }
        for (std::size_t i = 0; i < n; ++i) data[i] = {static_cast<std::int32_t>(i), logits[i] / temperature, 0.0f};
        size = n;
        sorted = false;
      }
      // The k largest, in order, to the start of `spare`: buckets that hold them, each sorted.
      void sort_buckets(std::size_t k) {
        constexpr int n_buckets = 128;
        constexpr float low = -10.0f, high = 10.0f, scale = n_buckets / (high - low), shift = -scale * low;
        bucket.resize(size);
        std::vector<int> counts(n_buckets, 0);
        for (std::size_t i = 0; i < size; ++i) {
          const int b = std::max(0, std::min(n_buckets - 1, static_cast<int>(scale * data[i].logit + shift)));
          bucket[i] = b;
          ++counts[b];
        }
        std::size_t n_kept = 0;
        int first = n_buckets - 1;
        for (; first >= 0; --first) {
          n_kept += counts[first];
          if (n_kept >= k) break;
        }
        std::vector<std::size_t> at(n_buckets, 0);
        std::size_t next = 0;
        for (int b = n_buckets - 1; b >= first; --b) { at[b] = next; next += counts[b]; }
        for (std::size_t i = 0; i < size; ++i)
          if (bucket[i] >= first) spare[at[bucket[i]]++] = data[i];
        next = 0;
        for (int b = n_buckets - 1; b > first; --b) {
          std::sort(spare.begin() + next, spare.begin() + next + counts[b], above);
          next += counts[b];
        }
        std::partial_sort(spare.begin() + next, spare.begin() + k, spare.begin() + n_kept, above);
      }
      // A partial sort for few, the buckets for more.
      void top_k(std::size_t k) {
        k = std::min(k, size);
        if (k <= 128) {
          std::partial_sort(data.begin(), data.begin() + k, data.begin() + size, above);
        } else {
          sort_buckets(k);
          data.swap(spare);
        }
        size = k;
        sorted = true;
      }
      void softmax() {
        float most = data[0].logit;
        if (!sorted) for (std::size_t i = 1; i < size; ++i) most = std::max(most, data[i].logit);
        float sum = 0;
        for (std::size_t i = 0; i < size; ++i) sum += data[i].p = expf(data[i].logit - most);
        for (std::size_t i = 0; i < size; ++i) data[i].p /= sum;
      }
      // 256 are brought into order; all, where they do not hold enough.
      void top_p(float mass) {
        softmax();
        std::size_t k = size;
        if (!sorted) {
          k = std::min<std::size_t>(256, size);
          sort_buckets(k);
        }
        float cumulative = 0;
        std::size_t i = 0;
        while (i < size) {
          cumulative += (sorted ? data : spare)[i++].p;
          if (cumulative >= mass) break;
          if (!sorted && i == k && k < size) sort_buckets(k = size);
        }
        if (!sorted) data.swap(spare);
        size = i;
        sorted = true;
      }
      std::int32_t draw(double u) {
        softmax();
        double cumulative = 0;
        for (std::size_t i = 0; i < size; ++i) {
          cumulative += data[i].p;
          if (cumulative > u) return data[i].id;
        }
        return data[size - 1].id;
      }
    };
    }
    """
    cdef cppclass Candidates:
        Candidates() except +
        size_t size
        void fill(const float*, size_t, float) nogil
        void top_k(size_t) nogil
        void top_p(float) nogil
        int draw(double) nogil


cdef class Sampler:
    """Buffers that are kept from token to token."""
    cdef Candidates candidates

    def sample(self, const float[::1] logits, float temperature, size_t top_k, float top_p, double u):
        """The token, and how many were left."""
        cdef int token
        with nogil:
            self.candidates.fill(&logits[0], logits.shape[0], temperature)
            if top_k > 0:
                self.candidates.top_k(top_k)
            if top_p < 1:
                self.candidates.top_p(top_p)
            token = self.candidates.draw(u)
        return token, self.candidates.size
