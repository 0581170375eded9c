//! What went wrong in others, and what stops it here.
//!
//! | fault | where it was seen | what stops it here |
//! |---|---|---|
//! | the checked path is opened again by the loader | every tool that hashes paths | each file is opened once; the bytes handed out are the bytes hashed |
//! | an added file is executed although every signed one is intact | checksum lists | an unsigned file that a loader could pick up is a denial |
//! | the root digest does not bind names | OMS, section 6 | names are compared one by one; a pin is a `dirHash` |
//! | a signature is copied onto another model | re-quantised copies on hubs | the policy binds the stated name to publishers |
//! | a verifier trusts the public TLS roots by default | the reference implementation | no anchor, no publisher |
//! | the leaf certificate chooses the clock | the reference implementation 1.1.1 | time comes from the caller's clock |
//! | the broken v0.2 signature encoding is tried for every bundle | the reference implementation | only for v0.2 statements, only where a rule says `legacy = true` |
//! | a second signature in an envelope is never verified | the reference implementation | exactly one signature per bundle |
//! | JSON is re-serialised before it is verified, or a key is named twice | several | the bytes as received are verified, and the same bytes are parsed, once, strictly |
//! | a broken plug-in is logged and skipped | model servers | there is no plug-in verifier |
//! | `/proc/self/fd/N` is another object in a spawned child | many | links name the holder's process id, and lead to sealed files only |
//! | a truncated file kills the process with SIGBUS | memory-mapping loaders | sealed, private and verity bytes cannot be truncated |
//!
//! What is out of scope: code with this user's identity and ptrace rights, root, the kernel, GPU memory, and signed
//! code that downloads more. `SECURITY.md` has the whole model.
