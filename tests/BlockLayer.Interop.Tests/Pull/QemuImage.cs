namespace BlockLayer.Interop.Tests.Pull;

/// <summary>One image of a chain that qemu-img is to make.</summary>
/// <param name="Path">Relative to the folder of the test.</param>
/// <param name="Format">As qemu-img spells it.</param>
/// <param name="Length">Bytes of the disk.</param>
/// <param name="Options">Create options; empty for none.</param>
internal sealed record QemuImage(string Path, string Format, int Length, string Options = "");
