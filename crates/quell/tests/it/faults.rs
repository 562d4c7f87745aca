//! Disk full, read-only, failing, damaged; clocks that jump.
