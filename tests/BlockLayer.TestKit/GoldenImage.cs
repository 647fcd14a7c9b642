namespace BlockLayer.TestKit;

/// <summary>One line of the golden images' manifest.</summary>
/// <param name="Name">File name.</param>
/// <param name="Format">Format name: qcow2, qed.</param>
/// <param name="VirtualSize">Bytes a guest sees.</param>
/// <param name="GuestSha256">Hash of everything a guest reads, in lower case hexadecimal; null where the image was left unclean.</param>
/// <param name="Features">What the image is there for, and who wrote it.</param>
public sealed record GoldenImage(string Name, string Format, long VirtualSize, string? GuestSha256, string Features)
{
    /// <summary>Path of the unpacked file. Other tests read it too: copy it before writing.</summary>
    public string Path => System.IO.Path.Combine(GoldenImages.Folder, Name);

    /// <inheritdoc/>
    public override string ToString() => Name;
}
