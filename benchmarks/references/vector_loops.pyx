# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Plain loops over vectors: read them, fold them, scatter sparse ones, add up their covariance."""


def read(const long long[:] words):
    """The sum of everything as integers: what it takes to look at the data once."""
    cdef long long total = 0
    cdef Py_ssize_t i
    with nogil:
        for i in range(words.shape[0]):
            total += words[i]
    return total


def fold(const float[:, ::1] x, const float[::1] before, const float[::1] after, const int[::1] slots,
         const int[::1] kept, int block, float scale, float[::1] t, float[::1] sums, float[:, ::1] out):
    """Block-Hadamard balanced fold, straight from its definition; the columns of x are a multiple of the block."""
    cdef Py_ssize_t row, first, i, j, h, v, lane, n_vectors = block // 16
    cdef float a, b
    cdef int slot
    with nogil:
        for row in range(x.shape[0]):
            for i in range(sums.shape[0]):
                sums[i] = 0
            first = 0
            while first < x.shape[1]:
                for i in range(block):
                    t[i] = before[first + i] * x[row, first + i]
                h = 1
                while h < block:
                    i = 0
                    while i < block:
                        for j in range(i, i + h):
                            a = t[j]
                            b = t[j + h]
                            t[j] = a + b
                            t[j + h] = a - b
                        i += 2 * h
                    h *= 2
                for v in range(n_vectors):
                    slot = 16 * slots[first // 16 + v]
                    for lane in range(16):
                        sums[slot + lane] += after[first + 16 * v + lane] * t[16 * v + lane]
                first += block
            for i in range(out.shape[1]):
                out[row, i] = scale * sums[kept[i]]


def scatter(const int[::1] indptr, const int[::1] indices, const float[::1] data, const int[::1] slots,
            const unsigned short[::1] signs, float scale, float[:, ::1] sums, float[:, ::1] out):
    """Sparse rows times slotted signs, one slot of 16 a column, from tables of slots and sign bits."""
    cdef Py_ssize_t row, i, lane, n_slots = out.shape[1]
    cdef int column, slot, which
    cdef unsigned short bits
    cdef float value
    with nogil:
        for row in range(out.shape[0]):
            for i in range(n_slots):
                sums[0, i] = 0
                sums[1, i] = 0
            for i in range(indptr[row], indptr[row + 1]):
                column = indices[i]
                value = data[i]
                slot = 16 * slots[column]
                bits = signs[column]
                which = column & 1
                for lane in range(16):
                    sums[which, slot + lane] += -value if (bits >> lane) & 1 else value
            for i in range(n_slots):
                out[row, i] = (sums[0, i] + sums[1, i]) * scale


def covariance(const float[:, ::1] x, const double[::1] mean, double[::1] centred, double[:, ::1] out):
    """The upper triangle of the sum of outer products of centred rows, in double precision."""
    cdef Py_ssize_t row, i, j, d = x.shape[1]
    cdef double value
    with nogil:
        for row in range(x.shape[0]):
            for i in range(d):
                centred[i] = x[row, i] - mean[i]
            for i in range(d):
                value = centred[i]
                for j in range(i, d):
                    out[i, j] += value * centred[j]


def affine(const float[:, ::1] x, const float[:, ::1] weights, const float[::1] bias, float[:, ::1] out):
    """x times weights, minus bias: row by row, columns in the inner loop."""
    cdef Py_ssize_t row, i, j
    cdef float value
    with nogil:
        for row in range(x.shape[0]):
            for j in range(out.shape[1]):
                out[row, j] = -bias[j]
            for i in range(x.shape[1]):
                value = x[row, i]
                for j in range(out.shape[1]):
                    out[row, j] += value * weights[i, j]
