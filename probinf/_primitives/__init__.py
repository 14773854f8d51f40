"""The primitives: everything else is a definition of a few lines on top of them."""

from probinf._primitives._choose import Best as Best
from probinf._primitives._choose import Choose as Choose
from probinf._primitives._choose import Majority as Majority
from probinf._primitives._choose import Proportional as Proportional
from probinf._primitives._choose import Rule as Rule
from probinf._primitives._loop import Scan as Scan
from probinf._primitives._loop import While as While
from probinf._primitives._move import Map as Map
from probinf._primitives._move import Move as Move
from probinf._primitives._nested import Nested as Nested
from probinf._primitives._nested import pick as pick
from probinf._primitives._resample import Resample as Resample
from probinf._primitives._verified import Verified as Verified
from probinf._primitives._weight import Draw as Draw
from probinf._primitives._weight import Reweight as Reweight
from probinf._primitives._weight import Twist as Twist
