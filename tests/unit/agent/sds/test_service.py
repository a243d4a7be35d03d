"""What an agent pays that serves no Envoy."""

import subprocess
import sys


def test_an_agent_loads_nothing_of_envoys_before_one_calls() -> None:
    program = (
        "import assay_agent.app, sys; print([name for name in sys.modules if name.startswith('assay_proto.envoy')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
