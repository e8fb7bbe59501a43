# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Plain loops: scatter the impacts of every query term, scan all documents, keep the k best in a heap."""


def scatter(const long long[:] offsets, const int[:] documents, const float[:] impacts, const int[:] terms,
            float[:] scores):
    """Add the impacts of the terms' postings to the scores of all documents."""
    cdef Py_ssize_t i, p
    cdef int term
    with nogil:
        for i in range(terms.shape[0]):
            term = terms[i]
            for p in range(offsets[term], offsets[term + 1]):
                scores[documents[p]] += impacts[p]


cdef inline bint worse(const float* scores, int a, int b) noexcept nogil:
    """Whether document a ranks below document b: smaller score, or the same and a larger id."""
    return scores[a] < scores[b] or (scores[a] == scores[b] and a > b)


cdef void sift_down(const float* scores, int* heap, Py_ssize_t size, Py_ssize_t place) noexcept nogil:
    cdef Py_ssize_t child
    cdef int moved = heap[place]
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and worse(scores, heap[child + 1], heap[child]):
            child += 1
        if not worse(scores, heap[child], moved):
            break
        heap[place] = heap[child]
        place = child
    heap[place] = moved


def top(const float[:] scores, int[:] best):
    """Fill `best` with the documents of the largest positive scores, best first; how many there are."""
    cdef Py_ssize_t k = best.shape[0], size = 0, i, place
    cdef int document, n_docs = <int>scores.shape[0], swap
    cdef const float* values = &scores[0]
    cdef int* heap = &best[0]
    with nogil:
        for document in range(n_docs):
            if values[document] <= 0:
                continue
            if size < k:
                heap[size] = document
                size += 1
                if size == k:
                    for place in range(k // 2 - 1, -1, -1):
                        sift_down(values, heap, k, place)
            elif worse(values, heap[0], document):
                heap[0] = document
                sift_down(values, heap, k, 0)
        if size < k:
            for place in range(size // 2 - 1, -1, -1):
                sift_down(values, heap, size, place)
        for i in range(size - 1, 0, -1):
            swap = heap[0]
            heap[0] = heap[i]
            heap[i] = swap
            sift_down(values, heap, i, 0)
    return size
