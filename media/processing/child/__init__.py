"""The code of the child process, run as `python -m media.processing.child`. It imports neither Django nor `parent`.

`job_loop` reads jobs in a process whose resources `sandbox` has limited. For each job, `rendering` calls `decoding`,
`downscale`, `colour` (conversion to sRGB), `encoding` (every size) and `blurhashing`.
"""
