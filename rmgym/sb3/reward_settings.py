"""What a caller says about an agent's reward, and what the agent has already."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from rmgym.composition import Composition
from rmgym.distillation.student_options import StudentOptions
from rmgym.errors import RunError
from rmgym.sb3.vec_env import LearnedRewardVecEnv
from rmgym.specs import AgentSpec
from rmgym.text.textualizer import textualizer


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How an agent's reward is made of a model; None where the caller says nothing.

    Attributes:
        card: path of an environment card, absolute.
        language: language of the texts.
        composition: how the reward is put together.
        student: what stands in for the model.
    """

    card: str | None = None
    language: str | None = None
    composition: Composition | None = None
    student: StudentOptions | None = None

    def kept(self, spec: AgentSpec) -> Self:
        """These, and what an agent remembers where the caller says nothing. A card may have moved.

        Raises:
            RunError: they contradict each other.
        """
        reward = spec.reward
        student = StudentOptions.of(reward.student)
        _refuse_another("composition", self.composition, reward.composition)
        _refuse_another("language", self.language, spec.env.language)
        _refuse_another("student", self.student, student)
        card, language = self.card or spec.env.card, spec.env.language
        return replace(self, card=card, language=language, composition=reward.composition, student=student)

    def refuse_others(self, env: LearnedRewardVecEnv) -> None:
        """Refuse what an agent's environment does otherwise.

        Raises:
            RunError: something is.
        """
        says = env.textualizer
        _refuse_another("composition", self.composition, env.composition)
        _refuse_another("language", self.language, says.language)
        _refuse_another("student", self.student, None if env.student is None else env.student.options)
        if self.card is not None:
            card_hash = textualizer(env.venv, card=self.card, language=says.language).card_hash
            _refuse_another("card", card_hash, says.card_hash)


def _refuse_another(name: str, given: object, has: object) -> None:
    if given is not None and given != has:
        raise RunError(
            f"an agent keeps the {name} of its reward, or it would learn from two rewards",
            got=f"{given}, where the agent has {has or 'none'}",
            fix=f"leave {name}= out, or make a new agent with it",
        )
