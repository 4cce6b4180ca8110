"""What can run programs besides an environment's lanes: accelerators on the PCI bus, devices of JAX's PJRT clients."""

import sys
from pathlib import Path

from kjax.runtime import pci, uapi
from kjax.runtime.base import Device

# PCI class codes of things that compute, by their upper 16 bits: display controllers, co-processors, accelerators
COMPUTE_CLASSES = (0x0300, 0x0302, 0x0380, 0x0B40, 0x1200)


def on_pci_bus(root="/sys/bus/pci/devices"):
    """Accelerators that this machine's kernel sees, from sysfs."""
    rows = []
    base = Path(root)
    for entry in sorted(base.iterdir()) if base.is_dir() else ():
        try:
            code, vendor, device = (int((entry / name).read_text(), 16) for name in ("class", "vendor", "device"))
        except (OSError, ValueError):
            continue
        if code >> 8 in COMPUTE_CLASSES:
            driver = (entry / "driver").resolve().name if (entry / "driver").exists() else ""
            rows.append(uapi.Device(vendor=vendor, device=device, driver=driver.encode(), address=entry.name.encode(),
                                    **{"class": code}))
    return pci.describe(rows)


def from_pjrt():
    """Devices of the PJRT clients of JAX; empty while the process has not imported jax."""
    if "jax" not in sys.modules:
        return ()
    import jax

    found = []
    for platform in sorted({d.platform for d in jax.devices()} | {"cpu"}):
        for d in jax.devices(platform):
            kind = platform if platform in ("gpu", "tpu") else "pjrt"
            found.append(Device(f"pjrt:{platform}:{d.id}", kind, d.device_kind,
                                driver=f"PJRT, {d.client.platform_version.splitlines()[0]}"))
    return tuple(found)
