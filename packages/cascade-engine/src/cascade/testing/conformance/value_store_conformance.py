"""The conformance suite of value stores: bytes under names, put whole or not at all."""

from __future__ import annotations

import pickle
import time
from concurrent.futures import ThreadPoolExecutor

from cascade.adapters.values.value_store import ValueStore
from cascade.spec.errors import DamagedDataError


class ValueStoreConformance:
    """Tests for a `ValueStore`. Subclass it and say in `make_store` how to make an empty one.

    Two stores that `make_store` gives in one test share nothing.
    """

    def make_store(self) -> ValueStore:
        """Return an empty store."""
        raise NotImplementedError("say in make_store how to make a value store")

    def test_what_was_put_is_given_back(self) -> None:
        """Bytes come back as they were put, no bytes and all bytes among them."""
        store = self.make_store()
        for number, data in enumerate((b"", b"x", bytes(range(256)) * 1000)):
            store.put(f"folder/{number}", data, safe=number % 2 == 0)
            assert store.get(f"folder/{number}", len(data)) == data

    def test_a_missing_name_is_damage(self) -> None:
        """Asked for a name that is not there, or has another size, a store raises a `DamagedDataError`."""
        store = self.make_store()
        store.put("folder/there", b"12345", safe=False)
        for name, size in (("folder/missing", 5), ("missing", 5), ("folder/there", 4), ("folder/there", 6)):
            _check_damaged(store, name, size)

    def test_names_are_listed(self) -> None:
        """`names` gives the names below a folder, with the time and the size of each, and no others."""
        store = self.make_store()
        began = time.time()
        for name in ("a/1", "a/b/2", "ab/3", "c"):
            store.put(name, name.encode(), safe=False)
        listed = {name: (put_at, size) for name, put_at, size in store.names("a")}
        assert {name: size for name, (_, size) in listed.items()} == {"a/1": 3, "a/b/2": 5}
        assert all(abs(put_at - began) < 600 for put_at, _ in listed.values())
        assert sorted(name for name, _, _ in store.names("")) == ["a/1", "a/b/2", "ab/3", "c"]
        assert not [*store.names("missing")]

    def test_a_name_is_deleted(self) -> None:
        """`delete` deletes a name, or all below a folder, and nothing else; a missing one is no error."""
        store = self.make_store()
        for name in ("a/1", "a/2", "a/b/3", "ab/4"):
            store.put(name, b"x", safe=False)
        store.delete("a/1")
        _check_damaged(store, "a/1", 1)
        assert store.get("a/2", 1) == b"x"
        for _ in range(2):
            store.delete("a")
        store.delete("missing/name")
        assert [name for name, _, _ in store.names("")] == ["ab/4"]
        store.put("a/1", b"y", safe=False)
        assert store.get("a/1", 1) == b"y"

    def test_many_may_put_the_same_value(self) -> None:
        """While many put the same name with the same bytes, whoever finds it finds it whole."""
        from cascade.adapters.values.value_pointer import (  # noqa: PLC0415 - brings the codecs
            get_value,
            put_value,
        )

        store = self.make_store()
        data = bytes(range(256)) * 2000
        with ThreadPoolExecutor(4) as threads:
            puts = [threads.submit(put_value, store, "folder", data, safe=False) for _ in range(12)]
            pointers = {put.result() for put in puts}
            (pointer,) = pointers
            assert get_value(store, pointer) == data
        assert [name for name, _, _ in store.names("")] == [pointer.name]

    def test_a_value_may_be_put_while_others_are_deleted(self) -> None:
        """Names of one folder are put and deleted at the same time: what was put and not deleted is there."""
        store = self.make_store()

        def put_and_delete(thread: int) -> None:
            for number in range(25):
                store.put(f"folder/inner/{thread}-{number}", b"x", safe=False)
                store.delete(f"folder/inner/{thread}-{number}")
            store.put(f"folder/inner/{thread}", b"x", safe=False)

        with ThreadPoolExecutor(4) as threads:
            for done in [threads.submit(put_and_delete, thread) for thread in range(4)]:
                done.result()
        assert [name for name, _, _ in store.names("")] == [f"folder/inner/{thread}" for thread in range(4)]

    def test_stores_share_nothing(self) -> None:
        """What is in one store is in no other."""
        first, second = self.make_store(), self.make_store()
        first.put("a", b"x", safe=False)
        assert not [*second.names("")]

    def test_a_changed_value_is_found_out(self) -> None:
        """A value of the same size, under the name of another one, is damage; the error names it."""
        from cascade.adapters.values.value_pointer import (  # noqa: PLC0415 - brings the codecs
            get_value,
            put_value,
        )

        store = self.make_store()
        pointer = put_value(store, "folder", b"right", safe=True)
        store.put(pointer.name, b"wrong", safe=True)
        told = ""
        try:
            get_value(store, pointer)
        except DamagedDataError as problem:
            told = str(problem)
        assert pointer.digest.hex() in told

    def test_a_store_can_be_sent_to_another_process(self) -> None:
        """A pickled store is the same store: calls in worker processes write to it."""
        store = self.make_store()
        again: ValueStore = pickle.loads(pickle.dumps(store))
        again.put("folder/a", b"x", safe=False)
        assert store.get("folder/a", 1) == b"x"


def _check_damaged(store: ValueStore, name: str, size: int) -> None:
    try:
        value = store.get(name, size)
    except DamagedDataError:
        return
    raise AssertionError(f"get gave {value!r} for '{name}' of {size} bytes; it must raise DamagedDataError")
