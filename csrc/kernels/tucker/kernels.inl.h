// Every kernel of the family, for the units in csrc/isa.
#pragma once
