//! Room on the disk: when acceptance stops, and what is set aside for outcomes and deletions.
