"""The words and templates of ``langrl.data.maze.texts``; ``{}`` is a number, a side or a place."""

NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen", "twenty",
)  # fmt: skip
ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth",
)  # fmt: skip
"""Of rows from the top and columns from the left, counted from one."""

SIDES = {
    "top": ("top", "top", "upper", "north", "northern", "uppermost"),
    "bottom": ("bottom", "bottom", "lower", "south", "southern", "lowermost"),
    "left": ("left", "left", "west", "western", "leftward"),
    "right": ("right", "right", "east", "eastern", "rightward"),
}

LINES = {
    "row": (
        "row {}", "row {}", "row {}", "the row {}", "row number {}", "any cell of row {}",
        "row #{}", "row: {}", "a cell in row {}", "any place in row {}", "horizontal row {}",
        "horizontal line {}", "some place of row {}", "row nr {}", "the cells of row {}",
        "the row with number {}", "row - {}", "anywhere in row {}", "anything in row {}",
    ),
    "column": (
        "column {}", "column {}", "column {}", "the column {}", "column number {}",
        "any cell of column {}", "column #{}", "column: {}", "a cell in column {}",
        "any place in column {}", "vertical column {}", "vertical line {}",
        "some place of column {}", "column nr {}", "the cells of column {}",
        "the column with number {}", "column - {}", "anywhere in column {}", "col {}",
        "anything in column {}",
    ),
}  # fmt: skip
COUNTED = (
    "the {0} {1} from the {2}", "{0} {1} from the {2}", "the {0} {1} counted from the {2}",
    "the {0} {1} if you count from the {2}", "the {0} {1} as seen from the {2}",
    "the {0} {1} starting at the {2}",
)  # fmt: skip
OUTER = {
    "top": (
        "the top {}", "top {}", "the topmost {}", "the uppermost {}", "the highest {}",
        "the first {}", "the {} at the very top", "the {} furthest north", "the northernmost {}",
        "the upper edge", "the {} along the top edge", "the {} at the north end",
    ),
    "bottom": (
        "the bottom {}", "bottom {}", "the lowest {}", "the lowermost {}", "the bottommost {}",
        "the last {}", "the {} at the very bottom", "the {} furthest south", "the southmost {}",
        "the lower edge", "the {} along the bottom edge", "the {} at the south end",
    ),
    "left": (
        "the left {}", "the leftmost {}", "leftmost {}", "the first {}", "the westernmost {}",
        "the {} at the very left", "the {} at the west end", "the {} farthest to the left",
        "the left edge", "the {} along the left side", "the {} on the left border",
    ),
    "right": (
        "the right {}", "the rightmost {}", "rightmost {}", "the last {}", "the easternmost {}",
        "the {} at the very right", "the {} at the east end", "the {} farthest to the right",
        "the right edge", "the {} along the right side", "the {} on the right border",
    ),
}  # fmt: skip
HALVES = (
    "the {} half", "{} half", "the {} half", "{} half", "any cell of the {} half",
    "the half on the {}", "the {} part",
    "the {} side of the middle", "the half to the {}", "a cell in the {} half", "the {} 50 percent",
    "the {} half of the board", "the {} half of the map", "the {} half of the grid",
    "the {} half of it", "the {} one of the two halves", "anywhere in the {} half",
    "anything in the {} half", "some cell in the {} half", "any place on the {} side",
)  # fmt: skip
CORNERS = (
    "the {0} {1} corner", "{0} {1} corner", "the {0} {1} corner", "the corner at the {0} {1}",
    "the {1} {0} corner",
    "the corner on the {0} {1}", "the corner in the {0} {1}", "the {0}-{1} corner",
    "the corner that is {0} and {1}", "the corner {0} {1}", "the {0} corner on the {1} side",
    "the corner where {0} and {1} meet", "a cell in the {0} {1} corner", "the {0} {1} one of the"
    " corners", "anywhere in the {0} {1} corner", "any cell of the {0} {1} corner",
)  # fmt: skip
CELLS = (
    "{} and {}", "the cell in {} and {}", "both {} and {}", "{}, {}", "{} {}", "{} in {}",
    "the cell where {} and {} meet", "the crossing of {} and {}", "the cell at {} and {}",
    "{} and at the same time {}", "{}, and there {}", "the square on {} and {}", "{} / {}",
    "{}; {}", "where {} crosses {}", "the tile with {} and {}", "{} and {}, both of them",
    "{} and {} together", "the place which is in {} and in {}", "{} plus {}", "{} + {}",
    "{} of {}", "{}. {}", "{}, its cell in {}",
)  # fmt: skip
BOTH = (
    "{} and {}", "{} within {}", "{}, {}", "the part of {} in {}", "{} that is also in {}",
    "{}, but only in {}", "{} inside {}", "{} and at the same time {}", "both {} and {}",
    "the cells that {} and {} share", "where {} and {} overlap", "{} in {}", "{}, and there {}",
    "{} as well as in {}, both", "{} intersected with {}", "the piece of {} that is in {}",
    "{} and within it {}", "{} that belongs to {}", "{}, namely in {}", "{} on {}",
)  # fmt: skip
EXCEPT = (
    "{} but not {}", "{} except {}", "{} except for {}", "{}, not {}", "{} other than {}",
    "{} without {}", "{} outside {}", "{} and not {}", "{} outside of {}", "{}, but never {}",
    "{}, only not {}", "{} excluding {}", "{} apart from {}", "{}, {} excluded", "{} minus {}",
    "{}, though not {}", "{}, just not {}", "{} save {}", "{} that is not in {}",
    "{}, and avoid {}", "{} with the exception of {}", "{}, leaving out {}", "{} unless it is {}",
    "{} which isn't {}", "{}, anywhere but {}", "{}, all of it but {}",
)  # fmt: skip
NOT = (
    "anywhere but {}", "anywhere except {}", "not {}", "any cell outside {}", "all but {}",
    "everywhere but {}", "any place that is not {}", "any cell except {}", "a cell not in {}",
    "any place other than {}", "somewhere that isn't {}", "anything but {}", "outside {}",
    "a place outside of {}", "wherever you like, only not {}", "any other cell than {}",
    "all cells save {}", "a cell that {} does not contain", "elsewhere than {}", "non {}",
    "any line but {}", "every cell but {}", "a cell apart from {}", "the rest without {}",
    "anywhere, just not {}", "no cell of {}, any other", "a different cell than {}",
)  # fmt: skip
ALONE = (
    "avoid {}", "stay out of {}", "do not go to {}", "don't go to {}, go anywhere else",
    "keep away from {}", "{} is forbidden, go to another cell", "leave {} out",
    "{} is closed, go to any other place", "do not end in {}, end in another cell",
    "never enter {}", "you may go anywhere. {} is not allowed", "go anywhere. not {} though",
    "{} is the only wrong place", "you must not be in {}", "be anywhere, but don't be in {}",
    "it may be any cell, {} excepted", "pick a cell. it must not be in {}",
    "whatever you do, don't stop in {}", "all places are good, except {}",
)  # fmt: skip
"""Sentences about what is not wanted, which take no lead."""
LISTS = (
    "{} or {}", "either {} or {}", "{} or to {}", "{} or {}, both are fine", "{}, or {}",
    "one of {} and {}", "{} and {} are both fine, choose one", "{} or otherwise {}",
    "{} or, if you prefer, {}", "{}? {}? either is good", "{} or {}, it is all the same",
    "one of these two: {}, {}", "{} and {} are good, one of them will do", "{} / {}, choose",
    "{}; {} would do as well", "{} or instead {}", "any of {} and {}",
    "a cell that is in {} or in {}", "you may take {}, you may take {}",
    "choose between {} and {}", "it can be {}, it can be {}", "{} or {}, i do not mind which",
    "at least one of {} and {}", "{}, if not {}",
)  # fmt: skip
BEYOND = {
    "top": ("above {}", "anywhere above {}", "higher than {}", "north of {}", "up from {}",
            "somewhere over {}", "the rows above {}", "any row before {}"),
    "bottom": ("below {}", "anywhere below {}", "lower than {}", "south of {}", "down from {}",
               "under {}", "beneath {}", "the rows below {}", "any row after {}"),
    "left": ("left of {}", "to the left of {}", "anywhere left of {}", "west of {}",
             "the columns before {}", "on the left side of {}"),
    "right": ("right of {}", "to the right of {}", "anywhere right of {}", "east of {}",
              "the columns after {}", "on the right side of {}"),
}  # fmt: skip
"""What lies on a side of a line, the line excluded."""

LEADS = (
    *["{}"] * 8, "go to {}", "walk to {}", "move to {}", "head to {}", "get to {}", "go into {}",
    "please go to {}", "reach {}", "try to reach {}", "go over to {}", "take me to {}", "find {}",
    "walk over to {} please", "you should be in {}", "i want {}", "your goal is {}", "be in {}",
    "the goal is {}", "stop in {}", "end in {}", "finish in {}", "stand in {}", "get into {}",
    "stay in {}", "choose {}", "pick {}", "the target is {}", "run to {}", "come to {}",
    "please be in {}", "it should be {}", "let us meet in {}", "let it be {}", "aim for {}",
    "you may go to {}", "i would like you in {}", "go and stand in {}", "we need you in {}",
    "put yourself in {}", "set out for {}", "arrive in {}", "move until you are in {}", "go {}",
    "wait in {}", "your place is {}", "drive to {}", "it is {}", "it's {}, go there",
    "{} is where you go", "{} is your goal", "{} is the place", "do you see {}? go there",
    "there is {}. go to it", "{}, that is all", "the place to be is {}", "{}, go there",
    "look for {} and stop there", "you have to be in {}", "your task is to get to {}",
    "{} would be good", "{} it is", "{}, quick", "just {}", "only {}", "simply {}", "i mean {}",
    "can you get to {}", "would you go to {}", "will you please enter {}", "enter {}",
    "{}. that is where to be", "it is {}. be there", "look for {}. end there", "{}. be there soon",
    "there is a good place: {}. move there", "choose a cell: {}. any of it", "{}! that is the one",
    "i have a wish. be in {}", "one thing is left. enter {}", "{}. nothing else is needed",
    "see the map? {}, that is it", "all is well. now {}", "a place is free. it is {}",
    "park in {}", "settle in {}", "jump to {}", "return to {}", "send yourself to {}",
    "be anywhere in {}", "stop anywhere in {}", "some cell of {}", "some place inside {}",
    "any part of {}", "be somewhere on {}", "you may be anywhere on {}", "wherever you like in {}",
)  # fmt: skip
"""How a goal is asked for."""
