"""Signs or verifies with the reference implementation, through its Python API.

    interop.py sign   METHOD FORM HASH MODEL SIGNATURE KEY [CERTIFICATE ROOT]
    interop.py verify METHOD FORM HASH MODEL SIGNATURE KEY|ROOT

FORM is `files` or the size of a shard. Exit 0: done; 3: the reference refused, with its reason on standard error.
"""

import pathlib
import sys

from model_signing import hashing, signing, verifying


def configuration(form, algorithm, model, signature):
    config = hashing.Config()
    if form == "files":
        config = config.use_file_serialization(hashing_algorithm=algorithm)
    else:
        # Said explicitly: the reference reads the size back as a float from its own bundles, and fails on it.
        config = config.use_shard_serialization(hashing_algorithm=algorithm, shard_size=int(form))
    ignored = []
    if pathlib.Path(model).is_dir() and pathlib.Path(model) in pathlib.Path(signature).parents:
        ignored.append(pathlib.Path(signature).relative_to(model))
    return config.set_ignored_paths(paths=ignored, ignore_git_paths=True)


def main(verb, method, form, algorithm, model, signature, *material):
    # Its name for the registry's blake2b.
    hashes = configuration(form, {"blake2b": "blake2"}.get(algorithm, algorithm), model, signature)
    try:
        if verb == "sign":
            config = signing.Config().set_hashing_config(hashes)
            if method == "key":
                config = config.use_elliptic_key_signer(private_key=material[0])
            else:
                config = config.use_certificate_signer(
                    private_key=material[0], signing_certificate=material[1], certificate_chain=[material[2]]
                )
            config.sign(model, signature)
        else:
            config = verifying.Config().set_hashing_config(hashes)
            if method == "key":
                config = config.use_elliptic_key_verifier(public_key=material[0])
            else:
                config = config.use_certificate_verifier(certificate_chain=[material[0]])
            config.verify(model, signature)
    except Exception as error:  # its own errors are of many kinds
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
