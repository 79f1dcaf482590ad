"""Other words for the same things: one that may be used in training, and one that no model is fitted on."""

from __future__ import annotations

from collections.abc import Mapping

Lexicon = Mapping[str, tuple[str, str]]
"""From words of the labels to a paraphrase for training and to the words of the test."""

LUNAR_LANDER: Lexicon = {
    "Land the spacecraft gently and upright on both legs on the landing pad, using little fuel.": (
        "Bring the lander down softly, standing straight on its two feet on the platform, and save propellant.",
        "Touch down smoothly, the vehicle vertical and both struts in the target area, burning as little as possible.",
    ),
    "tilt to the left": ("lean to the left", "leftward inclination"),
    "right leg": ("right foot", "starboard strut"),
    "left leg": ("left foot", "port strut"),
    "in the air": ("off the ground", "not touching anything"),
    "on the ground": ("standing on the soil", "resting on the surface"),
    "distance to the right of the pad": ("position to the right of the platform", "horizontal offset from the target"),
    "height above the pad": ("altitude over the platform", "elevation above the target"),
    "velocity to the right": ("rightward speed", "horizontal rate of travel"),
    "upward velocity": ("climbing speed", "vertical rate of travel"),
    "turning rate to the left": ("leftward spin", "anticlockwise rotation rate"),
    "fire": ("ignite", "thruster in use"),
    "no engine": ("nothing", "none of them"),
    "the side engine that pushes to the left": (
        "the thruster at the side that drives it left",
        "the lateral nozzle moving the craft leftward",
    ),
    "the main engine": ("the big thruster below", "the central rocket"),
    "the side engine that pushes to the right": (
        "the thruster at the side that drives it right",
        "the lateral nozzle moving the craft rightward",
    ),
}

TAXI: Lexicon = {
    "Drive the taxi to the passenger, pick the passenger up, drive to the destination and drop the passenger off "
    "there, without detours.": (
        "Steer the cab to the customer, let the customer in, go where the customer wants and let the customer out "
        "there by the shortest way.",
        "Reach the waiting guest with the car, collect the guest and deliver the guest at the goal, wasting no moves.",
    ),
    "row of the taxi": ("row of the cab", "line in which the car stands"),
    "column of the taxi": ("column of the cab", "file in which the car stands"),
    "passenger": ("customer", "guest"),
    "at the red place": ("at the red stop", "waiting at the crimson spot"),
    "at the green place": ("at the green stop", "waiting at the emerald spot"),
    "at the yellow place": ("at the yellow stop", "waiting at the golden spot"),
    "at the blue place": ("at the blue stop", "waiting at the azure spot"),
    "in the taxi": ("inside the cab", "riding along in the car"),
    "row of the passenger": ("row of the customer", "line of the guest"),
    "column of the passenger": ("column of the customer", "file of the guest"),
    "destination": ("where to go", "goal of the ride"),
    "the red place": ("the red stop", "the crimson spot"),
    "the green place": ("the green stop", "the emerald spot"),
    "the yellow place": ("the yellow stop", "the golden spot"),
    "the blue place": ("the blue stop", "the azure spot"),
    "row of the destination": ("row of where to go", "line of the goal"),
    "column of the destination": ("column of where to go", "file of the goal"),
    "do": ("what the cab does", "manoeuvre"),
    "drive down": ("go down", "move the car to the south"),
    "drive up": ("go up", "move the car to the north"),
    "drive right": ("go right", "move the car to the east"),
    "drive left": ("go left", "move the car to the west"),
    "pick the passenger up": ("let the customer in", "collect the guest"),
    "drop the passenger off": ("let the customer out", "set the guest down"),
}

# Only the words of the labels have a paraphrase; those of the test are other colours and another kind of thing.
BABYAI_PARAPHRASES: Mapping[str, str] = {
    "red": "scarlet",
    "green": "emerald",
    "blue": "azure",
    "ball": "sphere",
    "key": "latchkey",
}

ROOM: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "ball": (("ball",), ("globe", "round toy"), ("sphere", "orb")),
    "key": (("key",), ("door key", "passkey"), ("latchkey", "opener")),
    "box": (("box",), ("carton", "chest"), ("crate", "container")),
    "door": (("door",), ("doorway", "portal"), ("gate", "entrance")),
}
"""A thing's word in the labels, its paraphrases for training, and its words in the test."""

Sayings = tuple[tuple[float, tuple[str, str, str, str]], ...]
"""What each thing adds to the reward, and four ways to say it: of the labels, for training, and two of the test."""

STATES: Mapping[str, Sayings] = {
    "en": (
        (-1.0, ("the child is crying", "the little one is weeping", "the kid is in tears", "the infant is sobbing")),
        (1.0, ("the child is laughing", "the little one is giggling", "the kid is chuckling", "the infant is joyful")),
        (0.5, ("the child is asleep", "the little one is sleeping", "the kid is taking a nap", "the infant slumbers")),
        (-0.5, ("the child is hungry", "the little one wants to eat", "the kid is starving", "the infant needs food")),
    ),
    "zh": (
        (-1.0, ("孩子在哭", "小朋友在流泪", "宝宝哭泣着", "娃娃泪流满面")),
        (1.0, ("孩子在笑", "小朋友很开心", "宝宝笑得很欢", "娃娃高兴地笑着")),
        (0.5, ("孩子睡着了", "小朋友在睡觉", "宝宝正在午睡", "娃娃进入了梦乡")),
        (-0.5, ("孩子饿了", "小朋友想吃东西", "宝宝肚子饿", "娃娃需要食物")),
    ),
}
ACTIONS: Mapping[str, Sayings] = {
    "en": (
        (2.0, ("hug it", "embrace it", "cuddle it warmly", "hold it close")),
        (-2.0, ("shout at it", "yell at it", "scream at it", "scold it loudly")),
        (1.0, ("cook a meal", "prepare food", "make dinner", "fix something to eat")),
        (-1.0, ("leave the house", "go away outside", "walk out of the door", "depart from home")),
        (0.5, ("read a story", "tell a tale", "narrate a fairy tale", "recite a bedtime story")),
    ),
    "zh": (
        (2.0, ("拥抱孩子", "抱抱小朋友", "温暖地搂着宝宝", "把娃娃抱在怀里")),
        (-2.0, ("对孩子大喊", "对小朋友吼叫", "冲宝宝尖叫", "大声责骂娃娃")),
        (1.0, ("做一顿饭", "准备食物", "做晚餐", "弄点吃的")),
        (-1.0, ("离开家", "走到外面去", "走出家门", "出门远去")),
        (0.5, ("读一个故事", "讲个小故事", "讲童话", "念睡前故事")),
    ),
}
HUNGRY, MEAL, FED = 3, 2, 1.5
"""A meal is worth so much more to who is hungry."""
