"""Students: a fast model that stands in for a slow one."""
