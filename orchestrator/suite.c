#include "orchestrator/suite.h"
