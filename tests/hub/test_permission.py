"""What must not leave is refused, with the names of the sources, before a byte is sent."""

import json

import pyarrow.parquet as pq
import pytest

from hub.errors import Forbidden, HubError
from hub.repository import Repository
from queries.ingest import rebuild
from tests.conftest import Place, copy_of
from tests.hub.conftest import push_from

SOURCES = r"celebdf-v2 \(Celeb-DF terms of use: .*\); dfd \(.*\); ffpp \(FaceForensics\+\+ terms of use: .*\)"


def nothing_left(online, name: str) -> bool:
    return name not in online.repos and not online.received


def with_flag(pinned: Place, folder, source: str, redistributable: bool, licence: str = "cc-by-4.0") -> Place:
    """The same store, with a source whose scan says something else of passing it on."""
    place = copy_of(pinned, folder)
    path = place.folder / "store" / "sources" / f"{source}.parquet"
    table = pq.read_table(path)
    told = json.loads(table.schema.metadata[b"deepshard"]) | {"redistributable": redistributable, "licence": licence}
    pq.write_table(table.replace_schema_metadata({b"deepshard": json.dumps(told).encode()}), path)
    rebuild(place.folder / "catalog.duckdb", place.folder / "store")
    return place


def test_a_public_repository_takes_nothing_that_may_not_be_passed_on_whatever_is_said(online, pinned):
    with pytest.raises(Forbidden, match=f"somebody/public is public, .*{SOURCES}"):
        push_from(pinned, "somebody/public", public=True)
    assert nothing_left(online, "somebody/public")


def test_a_private_one_takes_it_once_somebody_says_so(online, pinned):
    with pytest.raises(Forbidden, match=f"{SOURCES}.*--yes-i-may"):
        push_from(pinned, "somebody/asked", said_so=False)
    assert nothing_left(online, "somebody/asked")


def test_one_that_is_public_counts_as_public_whatever_the_flags_say(online, pinned):
    Repository("somebody/open").create(private=False)
    for public in (None, False):
        with pytest.raises(HubError, match="is public"):
            push_from(pinned, "somebody/open", public=public, where="dataset = 'dfd'")
    with pytest.raises(Forbidden, match=r"may not be passed on: dfd \("):
        push_from(pinned, "somebody/open", where="dataset = 'dfd'")
    assert not online.received


def test_one_that_is_opened_meanwhile_gets_no_commit(online, pinned, monkeypatch):
    Repository("somebody/opened").create(private=True)
    send = Repository.send

    def opened(self, additions):
        online.repos["somebody/opened"].private = False
        send(self, additions)

    monkeypatch.setattr(Repository, "send", opened)
    with pytest.raises(HubError, match="is not private any more"):
        push_from(pinned, "somebody/opened", where="dataset = 'dfd'")
    assert online.listing("somebody/opened") == {}


def test_a_source_that_nobody_knows_may_not_be_passed_on(online, pinned, tmp_path):
    place = copy_of(pinned, tmp_path / "place")
    (place.folder / "store" / "sources" / "dfd.parquet").unlink()
    rebuild(place.folder / "catalog.duckdb", place.folder / "store")
    with pytest.raises(Forbidden, match=r"passed on: dfd \(nothing is known of it"):
        push_from(place, "somebody/unknown", public=True, where="dataset = 'dfd'")
    assert nothing_left(online, "somebody/unknown")


def test_what_may_be_passed_on_goes_to_a_public_one_with_its_licence(online, pinned, tmp_path):
    place = with_flag(pinned, tmp_path / "place", "dfd", True)
    with pytest.raises(Forbidden, match=r"passed on: ffpp \("):
        push_from(place, "somebody/free", public=True, said_so=False, where="dataset IN ('dfd', 'ffpp')")
    done = push_from(place, "somebody/free", public=True, said_so=False, where="dataset = 'dfd'")
    assert not done.private and online.repos["somebody/free"].private is False
    card = online.content("somebody/free", "README.md").decode()
    assert "\nlicense: cc-by-4.0\n" in card and "Not to be passed on" not in card


def test_a_new_repository_is_private_unless_asked(online, pinned):
    assert push_from(pinned, "somebody/quiet", where="dataset = 'dfd'").private
    assert online.repos["somebody/quiet"].private is True
    assert "Not to be passed on.** The licences of dfd do not" in online.content("somebody/quiet", "README.md").decode()


def test_the_visibility_of_one_that_is_there_is_not_changed(online, pinned):
    Repository("somebody/kept").create(private=True)
    with pytest.raises(HubError, match="is there and is private: leave --public away"):
        push_from(pinned, "somebody/kept", public=True, where="dataset = 'dfd'")


def test_a_repository_with_other_things_in_it_is_left_alone(online, pinned):
    from huggingface_hub import CommitOperationAdd

    there = Repository("somebody/other")
    there.create(private=True)
    there.commit([CommitOperationAdd("model.bin", b"weights")], "something")
    with pytest.raises(HubError, match=r"holds other things \(model.bin, ...\)"):
        push_from(pinned, "somebody/other", where="dataset = 'dfd'")
    assert list(online.listing("somebody/other")) == ["model.bin"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"where": "dataset = 'none'"}, "nothing is selected"),
        ({"where": "dataset = "}, "syntax error"),
        ({"recipe": "paper1"}, "nothing to push with that recipe; the catalog has default"),
        ({"where": "true", "splits": ["f2f_val"]}, "give one of them"),
    ],
)
def test_what_selects_nothing_sends_nothing(online, pinned, asked, said):
    with pytest.raises(ValueError, match=said):
        push_from(pinned, "somebody/nothing", **asked)
    assert nothing_left(online, "somebody/nothing")


def test_a_name_that_is_none_is_refused():
    for name in ("faces", "hf://datasets/a/b", "a/b/c"):
        with pytest.raises(HubError, match="write USER/NAME"):
            Repository(name)
