"""Who answers questions about steps: scripts, people, language models."""

from rmgym.feedback.teachers.answers import Answers as Answers
from rmgym.feedback.teachers.asking import PreferenceQuestions as PreferenceQuestions
from rmgym.feedback.teachers.asking import RatingQuestions as RatingQuestions
from rmgym.feedback.teachers.base import Teacher as Teacher
from rmgym.feedback.teachers.fallible import FallibleTeacher as FallibleTeacher
from rmgym.feedback.teachers.habits import Habits as Habits
from rmgym.feedback.teachers.judging import JudgeTeacher as JudgeTeacher
from rmgym.feedback.teachers.judging import JudgeTeacherOptions as JudgeTeacherOptions
from rmgym.feedback.teachers.panel import Panel as Panel
from rmgym.feedback.teachers.person import Person as Person
from rmgym.feedback.teachers.program import ProgramTeacher as ProgramTeacher
from rmgym.feedback.teachers.scripted import ScriptedTeacher as ScriptedTeacher
