"""Counts, filters, sketches, feature stores, and states as text."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, Dict, Iterator, List

import numpy as np

from . import _core
from ._archive import _trust

__all__ = ["BinaryFuse", "BloomFilter", "CountMin", "FeatureStore", "HyperLogLog", "TextDictionary", "TokenCounts", "from_text",
           "from_texts", "to_text", "to_texts", "train_dictionary"]


def _told(name: str, doc: str = "") -> Any:
    """A property that the core tells."""
    return property(attrgetter("_held." + name), doc=doc or None)


class _Service:
    """What all of these have: files, copies, equality, pickling. Thread-safe."""

    __slots__ = ("_held", "__weakref__")
    _kind: type

    @classmethod
    def _over(cls, held) -> Any:
        made = cls.__new__(cls)
        made._held = held
        return made

    def save(self, file: Any, *, codec: Any = None, level: Any = None, metadata: Any = None) -> None:
        """Saves to a path, as `stele.dump` does; C++ loads it as its own type."""
        self._held.save(file, dict(codec=codec, level=level, metadata=metadata))

    @classmethod
    def load(cls, file: Any, mmap_mode: Any = None) -> Any:
        """Loads what `save` or C++ wrote. With ``mmap_mode="r"`` its tables stay in the file."""
        return cls._over(cls._kind.load(file, dict(mmap_mode=mmap_mode)))

    def copy(self) -> Any:
        """A copy with tables of its own."""
        return type(self)._over(self._held.copy())

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return type(other._held) is type(self._held) and self._held.equals(other._held)

    __hash__ = None

    def __getstate__(self) -> Any:
        return self._held.state()

    def __setstate__(self, state: Any) -> None:
        self._held = type(self)._kind.from_state(state)

    byte_count: int = _told("byte_count", "Bytes of its tables in memory.")


class _Mergeable(_Service):
    __slots__ = ()

    def merge(self, other: Any) -> None:
        """Adds what another of the same settings has."""
        self._held.merge(other._held)


class _Clearable(_Mergeable):
    __slots__ = ()

    def clear(self) -> None:
        """Forgets all keys."""
        self._held.clear()


class _KeySet(_Clearable):
    __slots__ = ()

    def add(self, key: Any) -> None:
        """Adds a key."""
        self._held.add(key)

    def update(self, keys: Any) -> None:
        """Adds many keys."""
        self._held.update(keys)


class _Filter(_Service):
    __slots__ = ()

    def __contains__(self, key: object) -> bool:
        return self._held.contains(key)

    def contains(self, keys: Any) -> Any:
        """An array of bool in the shape of `keys`."""
        return self._held.contains_many(keys)


class TokenCounts(_Mergeable):
    """Counts of tokens, packed: a token takes its bytes and its count.

    Parameters
    ----------
    longest_lane : int
        Longer tokens share a lane that is searched more slowly; at most 255 bytes.

    Examples
    --------
    >>> counts = TokenCounts()
    >>> counts.update(["a", "b", "a"])
    >>> counts["a"], counts["x"], len(counts)
    (2, 0, 2)
    """

    __slots__ = ()
    _kind = _core.TokenCounts

    def __init__(self, longest_lane: int = 32) -> None:
        self._held = _core.TokenCounts.make(longest_lane)

    def add(self, token: Any, times: int = 1) -> None:
        """Counts a str or bytes `times` times."""
        self._held.add(token, times)

    def update(self, tokens: Any, times: Any = None) -> None:
        """Counts many tokens: a list, or an array of fixed texts; `times` is a number for each, or one for all."""
        self._held.update(tokens, times)

    def __getitem__(self, token: Any) -> Any:
        return self._held.count(token)

    def count(self, tokens: Any) -> np.ndarray:
        """The counts of many tokens: an array of uint64 in their shape; 0 for those that were not counted."""
        return self._held.count_many(tokens)

    def __contains__(self, token: object) -> bool:
        return self._held.count(token) > 0

    def __len__(self) -> int:
        return self._held.size

    total: int = _told("total", "The sum of all counts.")

    def items(self, sorted: bool = False) -> List[Any]:
        """Pairs of token and count, in the order of the tokens' bytes if `sorted`."""
        return self._held.items(sorted)

    def __iter__(self) -> Iterator[Any]:
        return (token for token, _ in self.items())

    def most_common(self, k: Any) -> List[Any]:
        """The `k` tokens with the highest counts."""
        return self._held.top(k)

    def compact(self) -> None:
        """Moves what was counted lately into the packed lanes; look-ups of many tokens are then fastest."""
        self._held.compact()

    def remove_below(self, least: Any) -> int:
        """Drops tokens counted fewer times; returns how many."""
        return self._held.remove_below(least)


class BloomFilter(_KeySet, _Filter):
    """A set of keys without false negatives: `in` is true for every key added, and rarely for others.

    Parameters
    ----------
    capacity : int
        The number of keys it is made for.
    false_positive_rate : float
        How often `in` is true for another key, with that many added.
    blocked : bool
        One cache miss for each look-up, for some more bits.
    seed : int

    Notes
    -----
    Keys are int, str and bytes, and arrays or lists of them.

    Examples
    --------
    >>> import numpy as np
    >>> seen = BloomFilter(1000, 0.01)
    >>> seen.update(np.arange(500))
    >>> 3 in seen, bool(seen.contains(np.arange(500)).all())
    (True, True)
    """

    __slots__ = ()
    _kind = _core.BloomFilter

    def __init__(self, capacity: Any, false_positive_rate: float = 0.01, *, blocked: bool = False, seed: int = 0) -> None:
        self._held = _core.BloomFilter.make(capacity, false_positive_rate, blocked, seed)

    capacity: int = _told("capacity")
    bit_count: int = _told("bit_count")
    hash_count: int = _told("hash_count")

    @property
    def false_positive_rate(self) -> float:
        """The rate with the keys that are in it now."""
        return self._held.false_positive_rate()

    @property
    def estimated_count(self) -> float:
        """About how many keys it has."""
        return self._held.estimated_count()


class BinaryFuse(_Filter):
    """A set of keys that are all known beforehand, in 9 bits each (18 with ``bits=16``).

    Parameters
    ----------
    keys : array or iterable of int, str or bytes
    bits : {8, 16}
        The false positive rate is 1/256 or 1/65536.
    seed : int
    """

    __slots__ = ()

    def __init__(self, keys: Any, *, bits: int = 8, seed: int = 0) -> None:
        self._held = self._of(bits).make(keys, seed)

    @staticmethod
    def _of(bits: int) -> Any:
        if bits not in (8, 16):
            raise ValueError(f"bits is 8 or 16, not {bits}")
        return _core.BinaryFuse8 if bits == 8 else _core.BinaryFuse16

    @classmethod
    def load(cls, file: Any, mmap_mode: Any = None, *, bits: int = 8) -> Any:
        """Loads what `save` or C++ wrote, of so many bits."""
        return cls._over(cls._of(bits).load(file, dict(mmap_mode=mmap_mode)))

    def __getstate__(self) -> Any:
        return {"bits": 8 if type(self._held) is _core.BinaryFuse8 else 16, "filter": self._held.state()}

    def __setstate__(self, state: Any) -> None:
        self._held = self._of(state["bits"]).from_state(state["filter"])

    def __len__(self) -> int:
        return self._held.size

    false_positive_rate: float = _told("false_positive_rate")


class CountMin(_Clearable):
    """Counts of keys in fixed memory, never too low, seldom much too high.

    Parameters
    ----------
    epsilon, delta : float
        With probability 1 - `delta` a count is too high by at most `epsilon` times the sum of all counts.
    conservative : bool
        Smaller errors for skewed counts.
    seed : int

    Examples
    --------
    >>> sketch = CountMin(0.001, 0.01)
    >>> sketch.update(["a", "b", "a"])
    >>> sketch["a"] >= 2
    True
    """

    __slots__ = ()
    _kind = _core.CountMin

    def __init__(self, epsilon: float = 0.001, delta: float = 0.01, *, conservative: bool = False, seed: int = 0) -> None:
        self._held = _core.CountMin.make(epsilon, delta, conservative, seed)

    def add(self, key: Any, times: int = 1) -> None:
        """Counts a key."""
        self._held.add(key, times)

    def update(self, keys: Any, times: Any = None) -> None:
        """Counts many keys, each once or `times` times."""
        self._held.update(keys, times)

    def __getitem__(self, key: Any) -> Any:
        return self._held.estimate(key)

    def estimate(self, keys: Any) -> Any:
        """The counts of many keys, in their shape."""
        return self._held.estimate_many(keys)

    total: int = _told("total")
    width: int = _told("width")
    depth: int = _told("depth")


class HyperLogLog(_KeySet):
    """The number of distinct keys, in 2**precision bytes.

    Parameters
    ----------
    precision : int
        4 to 18. The relative standard error is 1.04 / sqrt(2**precision): 0.8 % for 14.
    seed : int

    Examples
    --------
    >>> import numpy as np
    >>> distinct = HyperLogLog()
    >>> distinct.update(np.arange(10_000) % 1000)
    >>> 950 < distinct.estimate() < 1050
    True
    """

    __slots__ = ()
    _kind = _core.HyperLogLog

    def __init__(self, precision: int = 14, *, seed: int = 0) -> None:
        self._held = _core.HyperLogLog.make(precision, seed)

    def estimate(self) -> Any:
        """About how many distinct keys were added."""
        return self._held.estimate()

    precision: int = _told("precision")
    standard_error: float = _told("standard_error")


class FeatureStore(_Mergeable):
    """Which features each entity has (a user's words, clicks, visited pages), in a few bits for each pair.

    Parameters
    ----------
    capacity : int
        The number of distinct pairs it is made for.
    level : int
        0 to 9: 32 bits for a pair down to half a bit; false positives in return.
    bits_per_pair : float
        Instead of a level.
    generations : int
        `rotate` drops the oldest of so many.
    together_epsilon : float
        Count features added together, with this error; 0: do not.
    seed : int

    Examples
    --------
    >>> store = FeatureStore(1000)
    >>> store.update("ann", ["red", "blue"])
    >>> store.contains("ann", "red"), sorted(store.features("ann"))
    (True, ['blue', 'red'])
    """

    __slots__ = ()
    _kind = _core.FeatureStore

    def __init__(self, capacity: int = 1_000_000, *, level: int = 3, bits_per_pair: float = 0.0, generations: int = 1,
                 together_epsilon: float = 0.0, seed: int = 0) -> None:
        self._held = _core.FeatureStore.make(capacity, level, bits_per_pair, generations, together_epsilon, seed)

    def add(self, entity: Any, feature: Any) -> None:
        """Adds a pair."""
        self._held.add(entity, feature)

    def update(self, entities: Any, features: Any, *, threads: int = 0) -> None:
        """Adds many pairs: one entity, or as many as there are features."""
        self._held.update(entities, features, threads)

    def add_together(self, entity: Any, features: Any) -> None:
        """Adds features that an entity had at once; needs `together_epsilon`."""
        self._held.add_together(entity, features)

    def contains(self, entities: Any, features: Any) -> Any:
        """A bool for one pair, else an array of bool. One of the two may be single."""
        return self._held.contains(entities, features)

    def age(self, entity: Any, feature: Any) -> Any:
        """How many rotations ago the pair was added; None where it is not there."""
        return self._held.age(entity, feature)

    def features(self, entity: Any) -> List[Any]:
        """The known features of an entity, a list; some may be false positives."""
        return self._held.features(entity)

    def known(self) -> List[Any]:
        """All features that were added, in the order in which they were first seen."""
        return self._held.known()

    def together(self, one: Any, two: Any) -> int:
        """How often two features were added together; never too low."""
        return self._held.together(one, two)

    def count_with_both(self, entities: Any, one: Any, two: Any) -> int:
        """How many of the entities have both features."""
        return self._held.count_with_both(entities, one, two)

    def rotate(self) -> None:
        """Begins a generation and drops the oldest."""
        self._held.rotate()

    def report(self) -> Dict[str, Any]:
        """Sizes and rates: a dict."""
        return self._held.report()

    @property
    def byte_count(self) -> int:
        return sum(self.report()[part] for part in ("filter_bytes", "known_bytes", "together_bytes"))


TextDictionary = _core.TextDictionary


def to_text(value: Any, *, min: Any = None, max: Any = None, level: int = 1, alphabet: str = "base64",
            dictionary: Any = None, bare: bool = False, item: Any = None, canonical: bool = False) -> str:
    """A state as base64 of a compressed stream, to be put into JSON or a cookie.

    Parameters
    ----------
    value : object
        Any object that `stele.dump` takes. Arrays of integers of one dimension are fastest and smallest.
    min, max : int, optional
        What elements of integer arrays are clamped to.
    level : int
        1 to 9.
    alphabet : {"base64", "base64url"}
    dictionary : TextDictionary, optional
        What all states have in common; needed for reading too.
    bare : bool
        Nothing but the compressed bytes: with ``item="u1"`` that is ``base64.b64encode(zlib.compress(bytes))``.
    item : dtype, optional
        The integers of bare arrays.
    canonical : bool
        Equal states give equal texts.

    Examples
    --------
    >>> import numpy as np
    >>> text = to_text(np.arange(5))
    >>> from_text(text, dtype="i8")
    array([0, 1, 2, 3, 4])
    """
    return to_texts([value], min=min, max=max, level=level, alphabet=alphabet, dictionary=dictionary, bare=bare, item=item,
                    canonical=canonical)[0]


def train_dictionary(states: Any, *, min: Any = None, max: Any = None, level: int = 1, item: Any = None,
                     canonical: bool = False) -> Any:
    """The `TextDictionary` of what many states have in common; the options are those of `to_text`."""
    return TextDictionary.train(states, dict(min=min, max=max, level=level, item=item, canonical=canonical))


def to_texts(values: Any, *, min: Any = None, max: Any = None, level: int = 1, alphabet: str = "base64",
             dictionary: Any = None, bare: bool = False, item: Any = None, canonical: bool = False) -> List[str]:
    """A list of the texts of many states; see `to_text`."""
    return _core.to_texts(values, dict(min=min, max=max, level=level, alphabet=alphabet, dictionary=dictionary, bare=bare,
                                       item=item, canonical=canonical))


def from_text(text: Any, *, dtype: Any = None, dictionary: Any = None, bare: bool = False, item: Any = None,
              max_bytes: Any = 1 << 26, trusted: Any = (), untrusted: str = "error") -> Any:
    """The state of a text that `to_text` or C++ made.

    Parameters
    ----------
    text : str or bytes
    dtype : dtype, optional
        An array of these integers, at the library's speed; otherwise whatever the state is.
    dictionary, bare, item
        As for writing.
    max_bytes : int
        What the text may become.
    trusted, untrusted
        As for `stele.load`.
    """
    return from_texts([text], dtype=dtype, dictionary=dictionary, bare=bare, item=item, max_bytes=max_bytes, trusted=trusted,
                      untrusted=untrusted)[0]


def from_texts(texts: Any, *, dtype: Any = None, dictionary: Any = None, bare: bool = False, item: Any = None,
               max_bytes: Any = 1 << 26, trusted: Any = (), untrusted: str = "error") -> List[Any]:
    """A list of the states of many texts; see `from_text`."""
    options = dict(dtype=dtype, dictionary=dictionary, bare=bare, item=item, max_bytes=max_bytes)
    return _core.from_texts(texts, options, *_trust(trusted, untrusted))


for _class in (TokenCounts, BloomFilter, BinaryFuse, CountMin, HyperLogLog, FeatureStore):
    _class.__module__ = "stele"
