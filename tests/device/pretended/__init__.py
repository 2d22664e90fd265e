"""An accelerator that is not there: `register` makes the device "pretended" known to torch.

Each operation on one of its tensors is checked as CUDA would check it (devices mixed, generators of
the wrong device), counted (launches, waits of the host, copies) with the line of sgu that asked for
it, and then run on the CPU tensor behind it. Autocast to bfloat16 is imitated. It knows nothing of
the numerics and the layouts of cuDNN and cuSOLVER.
"""

from pretended.counting import Count, counted
from pretended.registration import register
from pretended.tensors import MixedDevicesError
