from __future__ import annotations

from comet_mcp.domain.models import ModelList


def test_ids_are_trimmed_and_kept_once_in_their_order() -> None:
    models = ModelList.parse(" gpt-4o , o3,,gpt-4o")
    assert (models.ids, models.text, models.wrong) == (("gpt-4o", "o3"), "gpt-4o,o3", [])
    assert ModelList.parse("").ids == ()


def test_what_is_no_id_is_named() -> None:
    assert ModelList.of(["a b", "", "x,y", "gpt-4o", "['o3']"]).wrong == ["a b", "", "x,y", "['o3']"]


def test_an_id_may_have_brackets_and_a_list_may_not() -> None:
    assert ModelList.of(["claude-sonnet-4-5[1m]", "[free]gpt-4o", "gpt-4o[a][b]"]).wrong == []
    lists = ["[gpt-4o]", "[gpt-4o", "o3]", "[[o3]]", "[]"]
    assert ModelList.of(lists).wrong == lists


def test_a_list_allows_its_parts() -> None:
    assert ModelList.parse("a,b").allows(ModelList.parse("b"))
    assert not ModelList.parse("a").allows(ModelList.parse("a,b"))
    assert ModelList.parse("").allows(ModelList.parse(""))
