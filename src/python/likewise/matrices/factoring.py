"""Factoring monic integer polynomials in Python: squarefree parts by gcds, then Zassenhaus.

A part is factored modulo a small prime (Cantor and Zassenhaus 1981), the factors are lifted to a power of the prime
(Hensel) beyond Mignotte's bound of the coefficients of any factor, and products of few of them are tried by division.
The number of products can grow exponentially with the number of modular factors; up to degree 50 it rarely matters.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import combinations

from .engines import PRIME, Polynomial, primes
from .polynomials import derivative, divide, strip

Residues = list[int]  # coefficients modulo a prime, lowest degree first, no leading zeros; [] is 0


def is_squarefree(p: Polynomial) -> bool:
    """Whether a monic p has no repeated factor. A factor that is repeated is so modulo every prime."""
    f = _residues(p, PRIME)
    if len(_gcd(f, _derivative(f, PRIME), PRIME)) == 1:
        return True
    return len(gcd(p, derivative(p))) == 1


def gcd(p: Polynomial, q: Polynomial) -> Polynomial:
    """The monic gcd of a monic p and any q, from its images modulo primes (CRT), proved by division."""
    if not strip(q):
        return p
    modulus, found, length = 1, [0] * len(p), len(p) + 1
    content = math.gcd(*q)
    q = tuple(c // content for c in strip(q))
    for prime in primes():
        if q[0] % prime == 0:
            continue
        image = _gcd(_residues(p, prime), _residues(q, prime), prime)
        if len(image) > length:
            continue  # an unlucky prime
        if len(image) < length:  # all before were unlucky
            modulus, found, length = 1, [0] * len(image), len(image)
        if length == 1:
            return (1,)
        inverse = pow(modulus, -1, prime)
        before = found
        found = [c + modulus * ((r - c) * inverse % prime) for c, r in zip(found, image, strict=True)]
        modulus *= prime
        found = [c - modulus if 2 * c > modulus else c for c in found]
        if found == before or modulus == prime:  # worth a division: it no longer changes, or is the first
            candidate = tuple(reversed(found))
            if not divide(p, candidate)[1] and not divide(q, candidate)[1]:
                return candidate
    raise AssertionError  # there are primes enough


def factor(p: Polynomial) -> list[tuple[Polynomial, int]]:
    """The monic irreducible factors of a monic p with their multiplicities."""
    return [(f, e) for part, e in _squarefree_parts(p) for f in _zassenhaus(part)]


def _squarefree_parts(p: Polynomial) -> Iterator[tuple[Polynomial, int]]:
    """p as a product of powers of squarefree polynomials without common factors (Musser)."""
    common = gcd(p, derivative(p))
    squarefree = divide(p, common)[0]
    exponent = 1
    while len(squarefree) > 1:
        repeated = gcd(squarefree, common)
        once = divide(squarefree, repeated)[0]
        if len(once) > 1:
            yield once, exponent
        squarefree, common = repeated, divide(common, repeated)[0]
        exponent += 1


def _zassenhaus(f: Polynomial) -> list[Polynomial]:
    """The irreducible factors of a monic squarefree f."""
    if len(f) == 2:
        return [f]
    if f[-1] == 0:
        return [(1, 0), *(_zassenhaus(f[:-1]) if len(f) > 2 else [])]
    prime, modular = _factor_modulo_best_prime(f)
    # Mignotte: no coefficient of a factor is larger than 2^degree |f|_2.
    bound = 2 ** (len(f) - 1) * (math.isqrt(sum(c * c for c in f)) + 1)
    modulus = prime
    while modulus <= 2 * bound:
        modulus *= modulus
    lifted = _lift(list(reversed(f)), modular, prime, modulus)
    found: list[Polynomial] = []
    size = 1
    while 2 * size <= len(lifted):
        for chosen in combinations(range(len(lifted)), size):
            constant = f[-1]
            trailing = 1
            for i in chosen:
                trailing = trailing * lifted[i][0] % modulus
            trailing = trailing - modulus if 2 * trailing > modulus else trailing
            if not trailing or constant % trailing:
                continue
            product: Residues = [1]
            for i in chosen:
                product = _product(product, lifted[i], modulus)
            candidate = tuple(c - modulus if 2 * c > modulus else c for c in reversed(product))
            quotient, rest = divide(f, candidate)
            if not rest:
                found.append(candidate)
                f = quotient
                lifted = [g for i, g in enumerate(lifted) if i not in chosen]
                break
        else:
            size += 1
    return [*found, f] if len(f) > 1 else found


def _factor_modulo_best_prime(f: Polynomial) -> tuple[int, list[Residues]]:
    """Of a few small primes that keep f squarefree, the one with the fewest factors."""
    best: tuple[int, list[Residues]] | None = None
    tried = 0
    for prime in (p for p in range(3, 1 << 30, 2) if all(p % d for d in range(3, math.isqrt(p) + 1, 2))):
        g = _residues(f, prime)
        if len(_gcd(g, _derivative(g, prime), prime)) != 1:
            continue
        factors = _factor_modulo(g, prime)
        if best is None or len(factors) < len(best[1]):
            best = prime, factors
        tried += 1
        if len(best[1]) == 1 or tried == 6:
            break
    assert best is not None
    return best


def _factor_modulo(f: Residues, prime: int) -> list[Residues]:
    """The monic irreducible factors of a monic squarefree f modulo an odd prime."""
    found: list[Residues] = []
    power: Residues = [0, 1]
    degree = 1
    while 2 * degree < len(f):
        power = _power(power, prime, f, prime)
        difference = _subtract(power, [0, 1], prime)
        product = _gcd(f, difference, prime)
        if len(product) > 1:
            found += _split(product, degree, prime)
            f = _divmod(f, product, prime)[0]
            power = _divmod(power, f, prime)[1]
        degree += 1
    return [*found, f] if len(f) > 1 else found


def _split(f: Residues, degree: int, prime: int) -> list[Residues]:
    """A product of irreducible polynomials of one degree, taken apart by random ones."""
    if len(f) - 1 == degree:
        return [f]
    draw = random.Random(prime * len(f))
    while True:
        g = _trim([draw.randrange(prime) for _ in range(len(f) - 1)])
        if len(g) < 2:
            continue
        g = _subtract(_power(g, (prime**degree - 1) // 2, f, prime), [1], prime)
        part = _gcd(f, g, prime)
        if 1 < len(part) < len(f):
            return _split(part, degree, prime) + _split(_divmod(f, part, prime)[0], degree, prime)


def _lift(f: Residues, factors: list[Residues], prime: int, modulus: int) -> list[Residues]:
    """Monic factors modulo a prime, lifted to those modulo a power of it, by halves."""
    if len(factors) == 1:
        return [[c % modulus for c in f]]
    half = len(factors) // 2
    g: Residues = [1]
    for factor_ in factors[:half]:
        g = _product(g, factor_, prime)
    h: Residues = [1]
    for factor_ in factors[half:]:
        h = _product(h, factor_, prime)
    s, t = _bezout(g, h, prime)
    m = prime
    while m < modulus:  # quadratic lifting (von zur Gathen and Gerhard, algorithm 15.10)
        m *= m
        e = _subtract([c % m for c in f], _product(g, h, m), m)
        q, r = _divmod(_product(s, e, m), h, m)
        g, h = _add(_add(g, _product(t, e, m), m), _product(q, g, m), m), _add(h, r, m)
        b = _subtract(_add(_product(s, g, m), _product(t, h, m), m), [1], m)
        c, d = _divmod(_product(s, b, m), h, m)
        s = _subtract(s, d, m)
        t = _subtract(_subtract(t, _product(t, b, m), m), _product(c, g, m), m)
    return _lift(g, factors[:half], prime, modulus) + _lift(h, factors[half:], prime, modulus)


def _bezout(g: Residues, h: Residues, prime: int) -> tuple[Residues, Residues]:
    """s and t with s g + t h = 1 modulo a prime."""
    r0, r1 = g, h
    s0: Residues = [1]
    s1: Residues = []
    t0: Residues = []
    t1: Residues = [1]
    while r1:
        q, r = _divmod(r0, r1, prime)
        r0, r1 = r1, r
        s0, s1 = s1, _subtract(s0, _product(q, s1, prime), prime)
        t0, t1 = t1, _subtract(t0, _product(q, t1, prime), prime)
    inverse = pow(r0[0], -1, prime)
    return [c * inverse % prime for c in s0], [c * inverse % prime for c in t0]


# --- Polynomials modulo m: coefficients lowest degree first ---


def _residues(p: Polynomial, m: int) -> Residues:
    return _trim([c % m for c in reversed(p)])


def _trim(p: Residues) -> Residues:
    while p and not p[-1]:
        p.pop()
    return p


def _add(p: Residues, q: Residues, m: int) -> Residues:
    if len(p) < len(q):
        p, q = q, p
    return _trim([(a + b) % m for a, b in zip(p, q, strict=False)] + p[len(q) :])


def _subtract(p: Residues, q: Residues, m: int) -> Residues:
    return _add(p, [-c % m for c in q], m)


def _product(p: Residues, q: Residues, m: int) -> Residues:
    if not p or not q:
        return []
    found = [0] * (len(p) + len(q) - 1)
    for i, a in enumerate(p):
        if a:
            for j, b in enumerate(q):
                found[i + j] += a * b
    return _trim([c % m for c in found])


def _divmod(p: Residues, q: Residues, m: int) -> tuple[Residues, Residues]:
    rest = list(p)
    inverse = 1 if q[-1] == 1 else pow(q[-1], -1, m)
    degree = len(q) - 1
    quotient = [0] * max(0, len(p) - degree)
    for i in range(len(p) - len(q), -1, -1):
        if c := rest[i + degree] * inverse % m:
            quotient[i] = c
            for j, b in enumerate(q):
                rest[i + j] -= c * b
        rest[i + degree] = 0
    return _trim(quotient), _trim([c % m for c in rest[:degree]])


def _derivative(p: Residues, m: int) -> Residues:
    return _trim([i * c % m for i, c in enumerate(p)][1:])


def _gcd(p: Residues, q: Residues, m: int) -> Residues:
    """The monic gcd modulo a prime."""
    while q:
        p, q = q, _divmod(p, q, m)[1]
    inverse = pow(p[-1], -1, m)
    return [c * inverse % m for c in p]


def _power(p: Residues, exponent: int, f: Residues, m: int) -> Residues:
    """p to a power modulo f."""
    found: Residues = [1]
    p = _divmod(p, f, m)[1]
    for bit in bin(exponent)[2:]:
        found = _divmod(_product(found, found, m), f, m)[1]
        if bit == "1":
            found = _divmod(_product(found, p, m), f, m)[1]
    return found
