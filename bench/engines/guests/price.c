#include "price.h"

SLUICE_POLICY(policy)
