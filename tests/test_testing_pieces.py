"""The conformance kit catches bad pieces of every other kind: effects to feature extractors."""

import math
import random
import time
from dataclasses import dataclass

import numpy as np
import torch
from conforming import Options, wrong
from pydantic import BaseModel

from artdiff.testing import (
    check_dataset,
    check_effect,
    check_feature_extractor,
    check_frame_source,
    check_grid,
    check_metric,
)


class Darker:
    Options = Options

    def __init__(self, options):
        self.options, self.seen = options, 0

    def __call__(self, picture, job):
        return picture // 2


class DarkerInPlace(Darker):
    def __call__(self, picture, job):
        picture //= 2
        return picture


class DarkerInFloat(Darker):
    def __call__(self, picture, job):
        return picture / 2


class DarkerEachTime(Darker):
    def __call__(self, picture, job):
        self.seen += 1
        return picture // self.seen


class DarkerAtRandom(Darker):
    def __call__(self, picture, job):
        return picture // np.random.randint(2, 50)


class DarkerByTheClock(Darker):
    def __call__(self, picture, job):
        return picture // (1 + time.perf_counter_ns() % 97)


class DarkerAtFirst(Darker):
    def __call__(self, picture, job):
        return picture // np.uint8([2, 2, 2, 2 + random.randrange(9)][job.index])


class Trailing(Darker):
    """What was brighter before still glows: the commonest state between frames."""

    def __call__(self, picture, job):
        before = self.seen if np.shape(self.seen) == picture.shape else picture
        self.seen = np.maximum(before // 2, picture)
        return self.seen


class CutsWhite(Darker):
    def __call__(self, picture, job):
        return picture[1:] if picture.min() == 255 else picture


class Misspelt(Darker):
    def __init__(self, options):
        self.radius = options.raduis


class EvenOnly(Darker):
    def __call__(self, picture, job):
        height, width = picture.shape[:2]
        return (
            picture.reshape(height // 2, 2, width // 2, 2, 3).repeat(1, 1).reshape(picture.shape)
        )


def test_effects():
    assert check_effect(Darker) == []
    assert "in place" in wrong(check_effect(DarkerInPlace))
    assert wrong(check_effect(DarkerInFloat)) == {"dtype"}
    assert wrong(check_effect(DarkerEachTime)) == {"repeatable"}
    assert wrong(check_effect(DarkerAtRandom)) == {"global random", "repeatable"}
    assert wrong(check_effect(DarkerByTheClock)) == {"repeatable"}
    assert wrong(check_effect(Trailing)) == {"repeatable"}
    assert wrong(check_effect(CutsWhite)) == {"size"}
    assert wrong(check_effect(Misspelt)) == {"runs"}
    assert wrong(check_effect(EvenOnly)) == {"runs"}
    findings = check_effect(DarkerAtFirst)
    assert wrong(findings) == {"global random", "repeatable", "runs"}
    assert "IndexError" in str(findings[-1])


class Walk:
    Options = Options

    def __init__(self, options, score):
        self.score, self.asked = score, 0

    def __len__(self):
        return self.score.count

    def __getitem__(self, index):
        from artdiff import Start

        return self.score.job(index, self.prompts(index), Start.at(self.seed(index)))

    def prompts(self, index):
        return self.score.prompts(index)

    def seed(self, index):
        return index


class WalkRemembers(Walk):
    def seed(self, index):
        self.asked += 1
        return self.asked


class WalkAtRandom(Walk):
    def seed(self, index):
        return random.randrange(1000)


class WalkForwards(Walk):
    def seed(self, index):
        if index not in (0, self.asked):
            raise RuntimeError("only one after the other")
        self.asked = index + 1
        return index


class WalkSilent(Walk):
    def __getitem__(self, index):
        from dataclasses import replace

        return replace(super().__getitem__(index), prompts=("a fox",))


class WalkLoud(Walk):
    def prompts(self, index):
        return (("a fox", 1.0), ("a cat", 1.0))


class WalkWithTensor(Walk):
    def prompts(self, index):
        return ((lambda: "a fox", 1.0),)


def test_frame_sources():
    assert check_frame_source(Walk) == []
    assert wrong(check_frame_source(WalkRemembers)) == {"repeatable"}
    assert wrong(check_frame_source(WalkAtRandom)) == {"global random", "repeatable"}
    assert wrong(check_frame_source(WalkForwards)) == {"runs"}
    assert wrong(check_frame_source(WalkSilent)) == {"prompts"}
    assert wrong(check_frame_source(WalkLoud)) == {"prompts"}
    assert wrong(check_frame_source(WalkWithTensor)) >= {"picklable"}


class Greys:
    name, version, Options = "greys", "1", Options

    def __init__(self, options):
        self.options, self.asked = options, 0

    def picture(self, index):
        return np.full((4, 4, 3), index, np.uint8)

    def attributes(self, index):
        return {"grey": index}

    def caption(self, index, draw):
        return "a grey" if draw % 2 else "grey"

    def vocabulary(self):
        return ["a", "grey"]


class GreysStrange(Greys):
    def caption(self, index, draw):
        return "a bright grey"


class GreysTwoWords(Greys):
    def vocabulary(self):
        return ["a", "grey", "light grey"]


class GreysRemember(Greys):
    def picture(self, index):
        self.asked += 1
        return np.full((4, 4, 3), self.asked, np.uint8)


class GreysForwards(Greys):
    def picture(self, index):
        if index > self.asked:
            raise RuntimeError("only one after the other")
        self.asked = index + 1
        return super().picture(index)


class GreysInLists(Greys):
    def picture(self, index):
        return super().picture(index).tolist()

    def caption(self, index, draw):
        return 3


class GreysFloat(Greys):
    def picture(self, index):
        return np.zeros((4, 4, 3))


class GreysArrays(Greys):
    def attributes(self, index):
        return {"grey": np.float32(index)}


class GreysGrow(Greys):
    def picture(self, index):
        return np.zeros((4 + index, 4, 3), np.uint8)


def test_datasets():
    assert check_dataset(Greys) == []
    assert wrong(check_dataset(GreysStrange)) == {"vocabulary"}
    assert wrong(check_dataset(GreysTwoWords)) == {"vocabulary"}
    assert wrong(check_dataset(GreysRemember)) == {"repeatable"}
    assert wrong(check_dataset(GreysForwards)) == {"runs"}
    assert wrong(check_dataset(GreysInLists)) == {"shape", "vocabulary"}
    assert wrong(check_dataset(GreysFloat)) == {"shape"}
    assert wrong(check_dataset(GreysArrays)) == {"attributes"}
    assert wrong(check_dataset(GreysGrow)) == {"shape"}


@dataclass(frozen=True)
class Even:
    name = "even"

    class Options(BaseModel, extra="forbid"):
        pass

    def times(self, schedule, steps, start):
        return torch.linspace(start, 0, steps + 1, dtype=torch.double)[:-1]


class Rising(Even):
    def times(self, schedule, steps, start):
        return super().times(schedule, steps, start).flip(0)


class OneMore(Even):
    def times(self, schedule, steps, start):
        return torch.linspace(start, 0, steps + 1, dtype=torch.double)


class FromTheTop(Even):
    def times(self, schedule, steps, start):
        return super().times(schedule, steps, 1.0)


def test_grids():
    assert check_grid(Even) == []
    assert wrong(check_grid(Rising)) == {"falling"}
    assert wrong(check_grid(OneMore)) == {"shape"}
    assert wrong(check_grid(FromTheTop)) == {"start"}


class MeanGap:
    """How far the means of the features are apart."""

    need, real, better, least, recentre, bounds = "pooled", True, "lower", 1, True, (0.0, math.inf)

    def prepare(self, made, real):
        def mean(rows, counts):
            return counts @ rows.double() / counts.sum()

        return lambda a, b: float((mean(made.pooled, a) - mean(real.pooled, b)).norm())

    def doubt(self, made, real):
        return ""


class NegativeGap(MeanGap):
    def prepare(self, made, real):
        estimate = super().prepare(made, real)
        return lambda a, b: -estimate(a, b)


class FirstGap(MeanGap):
    def prepare(self, made, real):
        return lambda a, b: float((made.pooled[0] - real.pooled[0]).norm())


class Uncounted(MeanGap):
    def prepare(self, made, real):
        estimate = super().prepare(made, real)
        return lambda a, b: estimate(torch.ones_like(a), torch.ones_like(b))


class Tires(MeanGap):
    asked, bounds = 0, None

    def prepare(self, made, real):
        self.asked += 1
        if self.asked > 5:
            raise RuntimeError("asked too often")
        return super().prepare(made, real)


class Centres(MeanGap):
    def prepare(self, made, real):
        made.pooled.sub_(1e-3)
        return super().prepare(made, real)


def test_metrics():
    assert check_metric(MeanGap) == []
    assert wrong(check_metric(NegativeGap)) == {"bounds", "better"}
    assert "order" in wrong(check_metric(FirstGap))
    assert wrong(check_metric(Uncounted)) == {"counts"}
    assert wrong(check_metric(Tires)) == {"bounds", "runs"}
    assert "in place" in wrong(check_metric(Centres))
    assert wrong(check_metric(Darker)) == {"declares"}


class Means:
    gives = ("pooled", "aligned")

    class Options(BaseModel, extra="forbid"):
        pass

    def __init__(self, options):
        pass

    def digest(self):
        return "0123456789abcdef"

    def pictures(self, pictures):
        rows = pictures.float().mean((2, 3))
        return {"pooled": rows, "aligned": rows}

    def texts(self, texts):
        return torch.tensor([[float(len(text))] * 3 for text in texts])


class BatchMeans(Means):
    def pictures(self, pictures):
        rows = pictures.float().mean((2, 3))
        return {"pooled": rows - rows.mean(0), "aligned": rows}


class HalfSaid(Means):
    def pictures(self, pictures):
        return {"pooled": pictures.float().mean((2, 3))}


class OtherTexts(Means):
    def texts(self, texts):
        return torch.zeros(len(texts), 7)


class ForgotToLoad(Means):
    def __init__(self, options):
        self.network = torch.nn.Linear(3, 3)

    def pictures(self, pictures):
        rows = self.network(super().pictures(pictures)["pooled"])
        return {"pooled": rows, "aligned": rows}


class OnlyOnce(Means):
    made = 0

    def __init__(self, options):
        OnlyOnce.made += 1
        if OnlyOnce.made > 1:
            raise RuntimeError("made already")

    def texts(self, texts):
        return torch.zeros(len(texts), 7)


class Undeclared(Means):
    gives = None


class NoWeights(Means):
    def __init__(self, options):
        raise OSError("no weights here")


def test_feature_extractors():
    assert check_feature_extractor(Means) == []
    assert wrong(check_feature_extractor(BatchMeans)) == {"rows"}
    assert wrong(check_feature_extractor(HalfSaid)) >= {"shape"} or wrong(
        check_feature_extractor(HalfSaid)
    ) >= {"runs"}
    assert wrong(check_feature_extractor(OtherTexts)) == {"texts"}
    assert wrong(check_feature_extractor(ForgotToLoad)) == {"repeatable"}
    assert wrong(check_feature_extractor(OnlyOnce)) == {"runs"}
    assert wrong(check_feature_extractor(Undeclared)) == {"gives"}
    findings = check_feature_extractor(NoWeights)
    assert wrong(findings) == set() and "no weights here" in str(findings[0])
