//! Every reason code.
