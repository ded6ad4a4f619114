"""What both notebooks on images share: training in several commands, scores by step and over seeds, pictures."""

import pandas as pd
import pytest
import torch

from litrepro import Chapter
from litrepro.gans import (
    MLPDiscriminator,
    MLPGenerator,
    ScoreNet,
    Variant,
    draw_thumbnails,
    score_course,
    score_summary,
    score_table,
    thumbnail_images,
    thumbnails,
    train_gans,
    trained_ensemble,
)

SHAPE = (1, 28, 28)
PLAYERS = (lambda: MLPGenerator(2, 3, SHAPE), lambda: MLPDiscriminator(SHAPE, 3))
IMAGES = torch.rand(30, *SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1
TWO = [Variant("a", lr=1e-3), Variant("b", optimizer="sgd", lr=1e-2)]


class Clocked(Chapter):
    """A chapter whose clock shows the given times, the last one for ever."""

    def __init__(self, folder, full, seconds):
        self.profile, self.seed, self.smoke = ("full" if full else "quick"), 4, False
        self._folder, self._times = folder, list(seconds)

    def elapsed(self):
        return self._times.pop(0) if len(self._times) > 1 else self._times[0]

    def scratch(self, name):
        return self._folder / name


def test_a_command_ends_in_time_and_the_next_one_goes_on(tmp_path, capsys):
    settings = {"steps": 45, "seeds": 2, "batch": 4}
    whole = train_gans(*PLAYERS, IMAGES, TWO, steps=45, seeds=(0, 1), batch=4, seed=4)
    quick = trained_ensemble(Clocked(tmp_path, False, [1e9]), "x", *PLAYERS, IMAGES, TWO, **settings)
    assert torch.equal(quick.sample(2), whole.sample(2))
    assert not list(tmp_path.iterdir())
    with pytest.raises(SystemExit) as ended:
        trained_ensemble(Clocked(tmp_path, True, [59, 61]), "x", *PLAYERS, IMAGES, TWO, minutes=1, **settings)
    assert ended.value.code == 75
    assert "time is up" in capsys.readouterr().out
    assert torch.load(tmp_path / "x-45.pt")["cohorts"][0]["step"] == 40  # asked twice, at 20 and at 40
    again = trained_ensemble(Clocked(tmp_path, True, [0]), "x", *PLAYERS, IMAGES, TWO, **settings)
    assert torch.equal(again.sample(2), whole.sample(2))
    # A smoke run reads no checkpoint (this one is of another size, which is an error otherwise) and leaves it alone.
    before, smoke = (tmp_path / "x-45.pt").read_bytes(), Clocked(tmp_path, True, [0])
    with pytest.raises(ValueError, match="must belong to this run"):
        trained_ensemble(smoke, "x", *PLAYERS, IMAGES, TWO, **settings | {"seeds": 1})
    smoke.smoke = True
    assert trained_ensemble(smoke, "x", *PLAYERS, IMAGES, TWO, **settings | {"seeds": 1}).seeds == (0,)
    assert (tmp_path / "x-45.pt").read_bytes() == before


def test_course_and_summary_are_their_parts():
    net = ScoreNet()
    one, other = (
        train_gans(*PLAYERS, IMAGES, TWO, steps=2, seeds=seeds, batch=4, snapshots=(1,)) for seeds in ((0, 1, 2), (5,))
    )
    reference = net.embed(IMAGES)
    course = score_course([one, other], net, reference, (1, 2), n=20)
    parts = [score_table(gans, net, reference, n=20, step=step) for step in (1, 2) for gans in (one, other)]
    pd.testing.assert_frame_equal(course.drop(columns="step"), pd.concat(parts))
    assert course["step"].tolist() == [1] * 8 + [2] * 8
    pd.testing.assert_frame_equal(score_course(one, net, reference, (2,), n=20).drop(columns="step"), parts[2])
    summary = score_summary(parts[2].rename(columns={"variant": "name"}), "name")
    of_a = parts[2][parts[2]["variant"] == "a"]
    assert summary.index.tolist() == ["a", "b"]
    assert summary.loc["a", "FD"] == pytest.approx(of_a["FD"].mean())
    assert summary.loc["a", "IS +-"] == pytest.approx(of_a["IS"].std(ddof=1) / 3**0.5)
    assert score_summary(parts[3])["FD +-"].isna().all()


def test_thumbnails_are_drawn_where_the_labels_are():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    table = thumbnails(train_gans(*PLAYERS, IMAGES, TWO, steps=1, batch=4), 5)
    ax = draw_thumbnails(table, 4)
    drawn = torch.as_tensor(ax.get_images()[0].get_array())
    assert drawn.shape == (60, 120)
    assert ax.get_yticks().tolist() == [15, 45]
    assert torch.equal(drawn[31:59, 61:89], thumbnail_images(table)["b"][2])
    assert draw_thumbnails(table).get_images()[0].get_array().shape == (60, 150)
    pyplot.close("all")


@pytest.mark.parametrize(
    "call",
    [
        lambda gans: trained_ensemble(Clocked(None, False, [0]), "x", *PLAYERS, IMAGES, TWO, steps=1, seeds=0),
        lambda gans: trained_ensemble(
            Clocked(None, False, [0]), "x", *PLAYERS, IMAGES, TWO, steps=1, seeds=1, minutes=0
        ),
        lambda gans: score_course([], ScoreNet(), torch.zeros(9, 64), (1,)),
        lambda gans: score_course(gans, ScoreNet(), torch.zeros(9, 64), ()),
        lambda gans: score_course(gans, ScoreNet(), torch.zeros(9, 64), (2,)),
        lambda gans: score_summary(pd.DataFrame({"variant": ["a"], "IS": [1.0]})),
        lambda gans: draw_thumbnails(thumbnails(gans, 2), 0),
        lambda gans: draw_thumbnails(thumbnails(gans, 2).iloc[:0]),
    ],
)
def test_bad_input(call):
    gans = train_gans(*PLAYERS, IMAGES, TWO, steps=1, batch=4)
    with pytest.raises(ValueError):
        call(gans)
