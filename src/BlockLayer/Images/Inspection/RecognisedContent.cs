namespace BlockLayer.Images;

/// <summary>Something a file shows the signature of.</summary>
/// <param name="Name">What it is called: a format as qemu-img spells it where it has a name for it, or what disks hold, such as <c>gpt</c>.</param>
/// <param name="Offset">Byte position of the signature.</param>
/// <param name="Kind">Whether programs open it as an image, or find it inside one.</param>
public sealed record RecognisedContent(string Name, long Offset, RecognisedKind Kind);
