"""The guest: a stock kernel booted in QEMU with kjax.ko in it, for machines whose own kernel has none.

========================  ==========================================================================
``tools`` ``cache``       programs of the host; folders that are whole or absent
``packages`` ``kernels``  a kernel of the distribution and its headers, unpacked into the cache
``module``                kjax.ko for it
``initramfs`` ``cpio``    the guest's file system: ``agent.c`` and a few drivers
``accel`` ``machine``     QEMU: KVM or TCG, one process from boot to end
``protocol`` ``port``     what is said to the agent (``agent.h``); system calls through it
``guest``                 boot when needed, once
``environment``           ``base.Environment`` on top of all that
========================  ==========================================================================
"""

from kjax.runtime.guest.environment import GuestEnvironment as GuestEnvironment
from kjax.runtime.guest.guest import Guest as Guest
from kjax.runtime.guest.guest import setup as setup
from kjax.runtime.guest.guest import shared as shared
