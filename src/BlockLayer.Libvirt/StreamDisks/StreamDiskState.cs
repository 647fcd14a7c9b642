namespace BlockLayer.Libvirt;

/// <summary>A device that is being streamed, as the first generation tells it.</summary>
/// <param name="Alias">The device: its target, such as <c>vda</c>.</param>
/// <param name="Offset">How far it is, in bytes.</param>
/// <param name="Size">Bytes of the device.</param>
public readonly record struct StreamDiskState(string Alias, ulong Offset, ulong Size);
