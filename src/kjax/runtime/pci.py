"""What the accelerators on a PCI bus are called: from ids and class codes to devices as kjax lists them."""

from kjax.runtime.base import Device

_VENDORS = {0x10DE: "NVIDIA", 0x1002: "AMD", 0x8086: "Intel", 0x1AE0: "Google", 0x1DA3: "Habana", 0x1E52: "Tenstorrent",
            0x1D0F: "Amazon", 0x1234: "QEMU", 0x1AF4: "Red Hat", 0x1022: "AMD", 0x1D95: "Graphcore", 0x17CB: "Qualcomm"}
_WHY = ("the kernel lists it but cannot run programs on it; where JAX has a plugin for it, name it as device= and the "
        "program's StableHLO runs there")


def kind(vendor, class_code):
    """ "gpu", "tpu" or "accelerator", by PCI vendor and 24-bit class code."""
    if vendor == 0x1AE0:
        return "tpu"
    return "gpu" if class_code >> 16 == 0x03 else "accelerator"


def describe(rows):
    """Tuple of ``base.Device`` for ``uapi.Device`` rows, numbered by kind: "gpu:0", "gpu:1", "tpu:0"."""
    numbers, devices = {}, []
    for row in rows:
        code = getattr(row, "class")
        sort = kind(row.vendor, code)
        number = numbers[sort] = numbers.get(sort, -1) + 1
        name = f"{_VENDORS.get(row.vendor, 'vendor')} {row.vendor:04x}:{row.device:04x} at {row.address.decode()}"
        devices.append(Device(f"{sort}:{number}", sort, name, (f"class {code:06x}",), row.driver.decode(), False, _WHY))
    return tuple(devices)
