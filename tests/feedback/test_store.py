"""The label database: nothing asked twice, nothing lost, nothing mixed. Real SQLite throughout."""

import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import numpy as np
import pytest

from rmgym.environments.collect import collect
from rmgym.errors import FeedbackError
from rmgym.feedback.labels import Ratings
from rmgym.feedback.store import LabelStore
from rmgym.text import TextBatch, textualizer
from rmgym.transitions import Transitions
from tests.disks import small_disk


@pytest.fixture(scope="module")
def pendulum():
    steps = collect("Pendulum-v1", 100, reset_every=10, progress=False)
    return steps, textualizer("Pendulum-v1").batch(steps)


@pytest.fixture
def store(tmp_path):
    return LabelStore(tmp_path / "labels.sqlite")


def ask(store, pendulum, rows=(3, 50, 7), pairs=((0, 10), (20, 33))):
    """Three ratings and two comparisons of length 4; returns the ids of both."""
    rated = store.add_rating_queries(*pendulum, np.array(rows))
    return rated, store.add_preference_queries(*pendulum, np.array(pairs), 4)


def rows_of(path, table):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()


def test_labels_are_the_answers_with_their_texts(store, pendulum):
    _, texts = pendulum
    rated, compared = ask(store, pendulum)
    for query, value in zip(rated, (2, 9, 4), strict=True):
        store.rate(query, value, annotator="ann", source="human", levels=10)
    store.prefer(compared[0], 1.0, annotator="ann", source="human")
    store.prefer(compared[1], 0.25, annotator="ann", source="human", margin=1.5)
    labels = LabelStore(store.path).labels()  # as another process would open it
    assert labels.ratings.texts.strings() == texts[[3, 50, 7]].strings()
    assert labels.ratings.texts.card_hash == texts.card_hash
    assert labels.ratings.values.tolist() == [2, 9, 4]
    preferences = labels.preferences
    assert preferences.choice.tolist() == [1, 0.25]
    assert preferences.margin.tolist() == [0, 1.5]
    strings, expected = preferences.steps.strings(), texts.strings()
    for side, starts in ((preferences.left, (0, 20)), (preferences.right, (10, 33))):
        for (first, last), start in zip(side.tolist(), starts, strict=True):
            assert strings[first:last] == expected[start : start + 4]
    np.testing.assert_array_equal(labels.ratings.texts.numbers, texts[[3, 50, 7]].numbers)


def test_all_questions_with_their_texts(store, pendulum):
    _, texts = pendulum
    assert store.questions() == []
    rated, compared = ask(store, pendulum)
    store.skip(rated[0], annotator="zoe", source="human")
    questions = store.questions()
    assert [(q.id, q.kind) for q in questions] == [(i, "rating") for i in rated] + [(i, "preference") for i in compared]
    assert [q.left.strings()[0] for q in questions] == texts[[3, 50, 7, 0, 20]].strings()
    assert [None if q.right is None else len(q.right) for q in questions] == [None, None, None, 4, 4]


def test_what_is_known_about_a_database(store, pendulum):
    _, texts = pendulum
    assert store.info()["counts"]["ratings"] == 0
    assert not store.path.exists(), "asking does not make the file"
    rated, compared = ask(store, pendulum)
    store.rate(rated[0], 1.5, annotator="zoe", source="human")
    store.skip(rated[1], annotator="zoe", source="human")
    store.prefer(compared[0], 0.5, annotator="ann", source="human")
    info = store.info()
    assert info["env_id"] == "Pendulum-v1"
    assert info["env_kwargs"] == {}
    assert info["card_hash"] == texts.card_hash
    assert info["language"] == "en"
    assert info["annotators"] == ["ann", "zoe"]
    assert info["counts"] == {
        "segments": 7,
        "rating_queries": 3,
        "preference_queries": 2,
        "ratings": 1,
        "preferences": 1,
        "skipped": 1,
    }
    assert store.progress("zoe") == (2, 5)
    assert store.progress("nobody") == (0, 5)
    assert store.labels().source["env_id"] == "Pendulum-v1"


def test_the_same_question_is_asked_once(store, pendulum):
    first = ask(store, pendulum)
    assert ask(store, pendulum) == first
    assert store.add_rating_queries(*pendulum, np.array([7, 8]))[0] == first[0][2]
    assert store.info()["counts"]["rating_queries"] == 4
    assert store.add_rating_queries(*pendulum, np.zeros(0, np.int64)) == []


def test_a_question_is_known_by_its_text_among_more_steps_too(store, pendulum):
    more = collect("Pendulum-v1", 130, reset_every=10, progress=False)  # the same 100 steps, and 30 others
    texts = textualizer("Pendulum-v1").batch(more)
    first = ask(store, pendulum)
    rows, pairs = np.array([50, 110, 57, 3]), np.array([[20, 33], [100, 33]])
    rated, compared = store.add_rating_queries(more, texts, rows), store.add_preference_queries(more, texts, pairs, 4)
    assert (rated[0], rated[3], compared[0]) == (first[0][1], first[0][0], first[1][1])
    assert store.info()["counts"]["rating_queries"] == 5
    assert store.info()["counts"]["preference_queries"] == 3
    for query in (*first[0], *rated):
        store.rate(query, query, annotator="ann", source="human")
    group = dict(zip(store.labels().ratings.texts.strings(), store.labels().ratings.groups.tolist(), strict=True))
    strings = texts.strings()
    assert group[strings[50]] == group[strings[57]], "the episode is the same, though it was met in another collection"
    assert len({group[strings[row]] for row in (3, 7, 50, 110)}) == 3


def test_pending_leaves_out_what_was_answered_meanwhile(store, pendulum):
    rated, compared = ask(store, pendulum)
    _, texts = pendulum
    questions = store.pending("ann")
    first = next(questions)
    assert (first.id, first.kind, first.right) == (rated[0], "rating", None)
    assert first.left.strings() == texts[[3]].strings()
    store.skip(rated[1], annotator="ann", source="human")
    assert [q.id for q in questions] == [rated[2], *compared], "the first was shown, the second skipped"
    assert [q.id for q in store.pending("ann")] == [rated[0], rated[2], *compared]
    assert [q.id for q in store.pending("bob")] == [*rated, *compared]
    pair = list(store.pending("ann"))[-1]
    assert pair.kind == "preference"
    assert (pair.left.strings(), pair.right.strings()) == (texts[20:24].strings(), texts[33:37].strings())


def test_undo_takes_back_the_last_answer_of_that_annotator(store, pendulum):
    rated, compared = ask(store, pendulum)
    assert store.undo("ann") is None
    store.rate(rated[0], 1, annotator="ann", source="human")
    store.prefer(compared[0], 0.0, annotator="ann", source="human")
    store.rate(rated[0], 5, annotator="bob", source="human")
    store.skip(rated[1], annotator="ann", source="human")
    assert store.undo("ann").id == rated[1]
    assert store.undo("ann").id == compared[0]
    assert store.labels("ann").ratings.values.tolist() == [1]
    assert store.labels("ann").preferences is None
    assert store.undo("ann").id == rated[0]
    assert store.undo("ann") is None
    assert store.labels().ratings.values.tolist() == [5]


def test_answering_again_replaces_and_becomes_the_last(store, pendulum):
    rated, _ = ask(store, pendulum)
    store.rate(rated[0], 1, annotator="ann", source="human")
    store.rate(rated[1], 2, annotator="ann", source="human")
    store.rate(rated[0], 3, annotator="ann", source="human")
    assert store.labels().ratings.values.tolist() == [2, 3]
    assert store.undo("ann").id == rated[0]


def test_ratings_of_one_step_by_several_annotators_are_their_mean_and_skips_do_not_count(store, pendulum):
    _, texts = pendulum
    rated, _ = ask(store, pendulum)
    store.rate(rated[0], 1, annotator="ann", source="human", levels=5)
    store.rate(rated[1], 4, annotator="ann", source="human", levels=5)
    store.rate(rated[0], 2, annotator="bob", source="human", levels=5)
    store.skip(rated[1], annotator="bob", source="human")
    ratings = store.labels().ratings
    assert ratings.values.tolist() == [1.5, 4], "a later answer moves no label"
    assert ratings.texts.strings() == texts[[3, 50]].strings()
    assert store.labels("bob").ratings.values.tolist() == [2]


def test_the_share_of_answers_for_the_left_side_is_a_soft_label(store, pendulum):
    _, compared = ask(store, pendulum)
    for annotator, choice, margin in (("ann", 1.0, 3.0), ("bob", 0.0, 1.0), ("eve", 1.0, 0.0), ("zoe", 0.5, 0.0)):
        store.prefer(compared[1], choice, annotator=annotator, source="human", margin=margin)
    store.prefer(compared[0], 0.25, annotator="bob", source="human", margin=1.5)
    preferences = store.labels().preferences
    assert preferences.choice.tolist() == [(1 + 0 + 1 + 0.5) / 4, 0.25]
    assert preferences.margin.tolist() == [(3 - 1 + 0 + 0) / 4, 1.5], "margins for the other side count against it"
    assert store.labels("bob").preferences.choice.tolist() == [0, 0.25]
    store.prefer(compared[1], 0.0, annotator="ann", source="human", margin=3.0)
    changed = store.labels().preferences
    assert changed.choice.tolist() == [(0 + 0 + 1 + 0.5) / 4, 0.25]
    assert changed.margin.tolist() == [(3 + 1) / 4, 1.5]


def test_ratings_on_different_scales_are_not_mixed(store, pendulum):
    rated, _ = ask(store, pendulum)
    store.rate(rated[0], 1, annotator="ann", source="human", levels=5)
    store.rate(rated[0], 9, annotator="bob", source="human", levels=10)
    with pytest.raises(FeedbackError, match="ann: human with levels 5; bob: human with levels 10"):
        store.labels(clean=False)
    assert store.labels().source["cleaning"]["notes"] == ["ratings on several scales are standardised for each person"]
    assert store.labels("bob").ratings.values.tolist() == [9]
    store.rate(rated[0], -0.5, annotator="one", source="scripted:reward")
    store.rate(rated[1], 0.7, annotator="two", source="scripted:reward")
    store.undo("ann")
    store.undo("bob")
    assert len(store.labels().ratings) == 2
    store.rate(rated[1], 0.7, annotator="two", source="scripted:outcome")
    with pytest.raises(FeedbackError, match="scripted:outcome"):
        store.labels()


@pytest.mark.parametrize("levels", [10, None])
def test_rewards_and_outcomes_are_not_mixed_though_their_numbers_look_alike(store, pendulum, levels):
    rated, compared = ask(store, pendulum)
    store.rate(rated[0], 9, annotator="scripted:reward", source="scripted:reward", levels=levels)
    store.rate(rated[0], 2, annotator="scripted:outcome", source="scripted:outcome", levels=levels)
    with pytest.raises(FeedbackError, match="mean different things") as refused:
        store.labels()
    assert "annotator=NAME" in refused.value.fix
    store.undo("scripted:outcome")
    store.prefer(compared[0], 1.0, annotator="scripted:outcome", source="scripted:outcome")
    with pytest.raises(FeedbackError, match="scripted:outcome, comparisons"):
        store.labels()
    assert store.labels("scripted:reward").ratings.values.tolist() == [9]
    store.undo("scripted:outcome")
    store.prefer(compared[0], 1.0, annotator="scripted:reward", source="scripted:reward")
    assert len(store.labels()) == 2, "one teacher may rate and compare"


def test_one_annotator_keeps_to_one_scale(store, pendulum):
    rated, _ = ask(store, pendulum)
    store.rate(rated[0], 4, annotator="ann", source="human", levels=5)
    with pytest.raises(FeedbackError, match="one scale"):
        store.rate(rated[1], 9, annotator="ann", source="human", levels=10)
    with pytest.raises(FeedbackError, match="scripted:reward"):
        store.rate(rated[1], 4, annotator="ann", source="scripted:reward", levels=5)
    assert store.labels("ann").ratings.values.tolist() == [4]
    store.rate(rated[0], 8, annotator="ann", source="human", levels=10)  # replaces all there is
    assert store.labels("ann").ratings.values.tolist() == [8]


def test_episodes_that_a_comparison_links_are_one_group(store, pendulum):
    # Episodes of ten steps. Compared: 0-1, 1-2 and 5-6. Rated: one step each of 2, 3 and 6, and two of 4.
    rated, compared = ask(store, pendulum, rows=(25, 35, 65, 40, 47), pairs=((0, 10), (14, 20), (50, 66)))
    for query in rated:
        store.rate(query, query, annotator="ann", source="human")
    for query in compared:
        store.prefer(query, 1, annotator="ann", source="human")
    labels = store.labels()
    two, three, six, four, also_four = labels.ratings.groups.tolist()
    assert labels.preferences.groups.tolist() == [two, two, six]
    assert four == also_four
    assert len({two, three, six, four}) == 4


def test_episode_numbers_of_another_collection_are_other_episodes(store, pendulum):
    other = collect("Pendulum-v1", 20, seed=9, progress=False)
    rated = store.add_rating_queries(*pendulum, np.array([1]))
    rated += store.add_rating_queries(other, textualizer("Pendulum-v1").batch(other), np.array([1]))
    for query in rated:
        store.rate(query, query, annotator="ann", source="human")
    assert len(set(store.labels().ratings.groups.tolist())) == 2


def test_a_database_is_about_one_card(store, pendulum):
    steps, texts = pendulum
    ask(store, pendulum)
    before = rows_of(store.path, "query")
    with pytest.raises(FeedbackError, match="one environment, card and language"):
        store.add_rating_queries(steps, textualizer("Pendulum-v1", language="zh").batch(steps), np.array([0]))
    with pytest.raises(FeedbackError, match="one environment, card and language"):
        store.add_rating_queries(steps, TextBatch.from_strings(texts.strings()), np.array([0]))
    assert rows_of(store.path, "query") == before


def test_nothing_to_learn_from_is_explained(store, pendulum):
    with pytest.raises(FeedbackError, match="fitting needs labels"):
        store.labels()
    assert not store.path.exists()
    rated, _ = ask(store, pendulum)
    store.skip(rated[0], annotator="ann", source="human")
    with pytest.raises(FeedbackError, match="rmgym label"):
        store.labels()
    store.rate(rated[0], 1, annotator="ann", source="human")
    with pytest.raises(FeedbackError, match="annotator 'bob'"):
        store.labels("bob")


@pytest.mark.parametrize(
    ("pairs", "length", "rule"),
    [
        ([[0, 10]], 0, "at least one step"),
        ([[0, 10]], -3, "at least one step"),
        ([[0, 8]], 4, "stays in one episode"),
        ([[0, 98]], 4, "inside the collected steps"),
        ([[-1, 10]], 4, "inside the collected steps"),
    ],
)
def test_segments_that_are_none_are_refused(store, pendulum, pairs, length, rule):
    with pytest.raises(FeedbackError, match=rule):
        store.add_preference_queries(*pendulum, np.array(pairs), length)
    assert not store.path.exists()


def test_segments_with_missing_steps_are_refused(store, pendulum):
    steps, texts = pendulum
    gap = np.array([0, 1, 3, 4])
    with pytest.raises(FeedbackError, match="stays in one episode"):
        store.add_preference_queries(steps[gap], texts[gap], np.array([[0, 1]]), 3)


def test_answers_that_do_not_fit_are_refused_and_leave_nothing(store, pendulum):
    with pytest.raises(FeedbackError, match="add questions first"):
        store.rate(1, 1.0, annotator="ann", source="human")
    rated, compared = ask(store, pendulum)
    for wrong, rule in (
        (lambda: store.rate(999, 1, annotator="a", source="human"), "belongs to a question"),
        (lambda: store.rate(compared[0], 1, annotator="a", source="human"), "asks for a preference"),
        (lambda: store.prefer(rated[0], 1, annotator="a", source="human"), "asks for a rating"),
        (lambda: store.rate(rated[0], 11, annotator="a", source="human", levels=10), "1 to 10"),
        (lambda: store.rate(rated[0], float("nan"), annotator="a", source="human"), "finite"),
        (lambda: store.prefer(compared[0], 1.5, annotator="a", source="human"), "probability"),
        (lambda: store.prefer(compared[0], 1, annotator="a", source="human", margin=-0.5), "margin is"),
        (lambda: store.prefer(compared[0], 1, annotator="a", source="human", margin=float("nan")), "margin is"),
    ):
        with pytest.raises(FeedbackError, match=rule):
            wrong()
    assert store.progress("a") == (0, 5)


def test_a_newer_database_is_refused(store, pendulum):
    ask(store, pendulum)
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(FeedbackError, match="version 99"):
        LabelStore(store.path)


def test_an_older_database_is_refused(store, pendulum):
    ask(store, pendulum)
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(FeedbackError, match="of version 2"):
        LabelStore(store.path)


def test_no_flipped_bit_loads_as_other_labels(store, pendulum):
    rated, compared = ask(store, pendulum)
    for query, value in zip(rated, (2, 9, 4), strict=True):
        store.rate(query, value, annotator="ann", source="human", levels=10)
    for query, choice in zip(compared, (1.0, 0.25), strict=True):
        store.prefer(query, choice, annotator="ann", source="human")

    def content():
        labels = LabelStore(store.path).labels()
        parts = [labels.ratings.texts, labels.preferences.steps]
        numbers = [labels.ratings.values, labels.preferences.choice, *(texts.numbers for texts in parts)]
        return [texts.strings() for texts in parts], [array.tolist() for array in numbers]

    whole, expected, refused = store.path.read_bytes(), content(), 0
    rng = np.random.default_rng(0)
    filled = [place for place, byte in enumerate(whole) if byte]
    for place in rng.choice(filled, 100, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        store.path.write_bytes(damaged)
        try:
            assert content() == expected
        except FeedbackError:
            refused += 1
    assert refused > 50
    store.path.write_bytes(whole)
    assert content() == expected


@pytest.mark.parametrize(
    ("change", "row"),
    [
        ("UPDATE answer SET value = 8 WHERE value = 9", "answer"),
        ("UPDATE answer SET skipped = 1 WHERE value = 9", "answer"),
        ("UPDATE segment SET texts = replace(texts, '-0.', '-1.')", "segment"),
    ],
)
def test_a_changed_row_is_refused_by_its_checksum(store, pendulum, change, row):
    rated, _ = ask(store, pendulum)
    store.rate(rated[0], 9, annotator="ann", source="human", levels=10)
    with closing(sqlite3.connect(store.path)) as connection, connection:
        assert connection.execute(change).rowcount
    with pytest.raises(FeedbackError, match=rf"as it was written(?s:.)*{row} \d+: its checksum"):
        store.labels()


def test_files_of_others_are_refused_and_left_alone(tmp_path):
    text, other = tmp_path / "notes.txt", tmp_path / "other.sqlite"
    text.write_text("not a database, and long enough to look at " * 50)
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE mine (x)")
    before = [file.read_bytes() for file in (text, other)]
    with pytest.raises(FeedbackError, match="not a database"):
        LabelStore(text)
    with pytest.raises(FeedbackError, match="made by rmgym"):
        LabelStore(other)
    assert [file.read_bytes() for file in (text, other)] == before


def test_a_copy_holds_what_there_is_and_goes_its_own_way(store, pendulum, tmp_path):
    rated, _ = ask(store, pendulum)
    store.rate(rated[0], 3, annotator="ann", source="human", levels=5)
    copy = LabelStore(store.copy(tmp_path / "copy" / "labels.sqlite"))
    assert copy.labels().texts.strings() == store.labels().texts.strings()
    assert copy.info()["counts"] == store.info()["counts"]
    copy.rate(rated[1], 4, annotator="ann", source="human", levels=5)
    assert (len(copy.labels()), len(store.labels())) == (2, 1)


def test_two_writers_at_once_lose_nothing(store, pendulum):
    rated = store.add_rating_queries(*pendulum, np.arange(12))

    def answer(name):
        own = LabelStore(store.path)
        for question in own.pending(name):
            own.rate(question.id, question.id, annotator=name, source="human")

    threads = [threading.Thread(target=answer, args=(name,)) for name in ("ann", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.progress(name) for name in ("ann", "bob")] == [(12, 12)] * 2
    assert store.labels("bob").ratings.values.tolist() == rated


_RATE_FOR_EVER = """
import sys
from rmgym.feedback.store import LabelStore
store = LabelStore(sys.argv[1])
for question in store.pending("ann"):
    store.rate(question.id, question.id, annotator="ann", source="human")
    print(question.id, flush=True)
"""


def test_kill_9_loses_no_answer_that_was_given(store, pendulum):
    rated = store.add_rating_queries(*pendulum, np.arange(100))
    command = [sys.executable, "-c", _RATE_FOR_EVER, str(store.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        recorded = [int(process.stdout.readline()) for _ in range(5)]
        process.send_signal(signal.SIGKILL)
        recorded += [int(line) for line in process.stdout.read().split()]
    assert process.returncode == -signal.SIGKILL
    kept = LabelStore(store.path).labels().ratings.values.tolist()
    assert kept[: len(recorded)] == recorded == rated[: len(recorded)]
    assert len(kept) <= len(recorded) + 1 < 100
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert next(store.pending("ann")).id == rated[len(kept)], "and it goes on where it stopped"


_FILL = """
import resource, signal, sys
import numpy as np
from rmgym.errors import FeedbackError, StorageError
from rmgym.feedback.store import LabelStore
from rmgym.text import textualizer
from rmgym.transitions import Transitions
steps = Transitions.load(sys.argv[2])
texts = textualizer("Pendulum-v1").batch(steps)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    LabelStore(sys.argv[1]).add_rating_queries(steps, texts, np.arange(len(steps)))
except FeedbackError as error:
    print(error)
"""


def test_no_space_left_is_explained_and_keeps_what_was_there(store, pendulum, tmp_path):
    rated, _ = ask(store, pendulum)
    store.rate(rated[0], 4, annotator="ann", source="human")
    before = {table: rows_of(store.path, table) for table in ("project", "segment", "query", "answer")}
    steps = pendulum[0].save(tmp_path / "steps.parquet")
    limit = str(store.path.stat().st_size + 4096)
    command = [sys.executable, "-c", _FILL, str(store.path), str(steps), limit]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "free space on the disk" in printed
    assert {table: rows_of(store.path, table) for table in before} == before
    assert LabelStore(store.path).labels().ratings.values.tolist() == [4]


@pytest.mark.parametrize(("how", "fix"), [("full", "free space on the disk"), ("read-only", "who may write there")])
def test_on_a_full_or_read_only_disk_labels_are_read_and_new_ones_refused(pendulum, tmp_path, how, fix):
    with small_disk(tmp_path / "disk", 300) as disk:
        store = LabelStore(disk.folder / "labels.sqlite")
        rated, _ = ask(store, pendulum)
        store.rate(rated[0], 4, annotator="ann", source="human")
        before = disk.content()
        disk.spoil(how)
        with pytest.raises(FeedbackError, match=f"labels live in(?s:.)*{fix}(?s:.)*before is intact"):
            LabelStore(store.path).add_rating_queries(*pendulum, np.arange(80))
        with pytest.raises(FeedbackError, match=f"labels live in(?s:.)*{fix}"):
            LabelStore(disk.folder / "new.sqlite").add_rating_queries(*pendulum, np.arange(80))
        assert LabelStore(store.path).labels().ratings.values.tolist() == [4]
        assert LabelStore(store.path).progress("ann") == (1, 5)
        after = disk.content()
        assert {name: after[name] for name in before} == before


def test_labels_of_other_roads_are_checked():
    texts = TextBatch.from_strings(["a", "b"])
    with pytest.raises(FeedbackError, match="one value and one group"):
        Ratings(texts=texts, values=np.zeros(1, np.float32), groups=np.zeros(2, np.int64))
    with pytest.raises(FeedbackError, match="finite"):
        Ratings(texts=texts, values=np.array([1, np.nan], np.float32), groups=np.zeros(2, np.int64))


def test_transitions_without_a_known_source_are_taken(store):
    steps = Transitions.from_arrays(np.zeros((2, 3)), np.zeros((2, 1)), np.zeros((2, 3)))
    store.add_rating_queries(steps, TextBatch.from_strings(["warm", "cold"]), np.array([1]))
    assert store.info()["env_id"] is None
    assert next(store.pending("ann")).left.strings() == ["cold"]
