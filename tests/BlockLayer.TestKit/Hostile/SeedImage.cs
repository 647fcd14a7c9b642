namespace BlockLayer.TestKit.Hostile;

/// <summary>A sound image to start from, small enough to be changed and used thousands of times a second.</summary>
/// <param name="Name">What is in it.</param>
/// <param name="Bytes">The file.</param>
/// <param name="Fields">The numbers in it that mean something.</param>
/// <param name="Order">How numbers are stored.</param>
/// <param name="ClusterSize">Bytes; places that are a multiple of it are better lies.</param>
internal sealed record SeedImage(string Name, byte[] Bytes, IReadOnlyList<FieldSpot> Fields, ByteOrder Order, int ClusterSize)
{
    /// <summary>The file with the guest's data, if the image keeps it elsewhere.</summary>
    internal byte[] DataFile { get; init; } = [];

    public override string ToString() => Name;
}
