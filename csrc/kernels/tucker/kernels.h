// The signature of every kernel of the family.
#pragma once
