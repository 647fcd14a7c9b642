namespace BlockLayer.TestKit.Hostile;

/// <summary>
/// Damages sound images the way that finds most: numbers that mean something become others that are almost right, and now and then bytes change, parts go missing
/// or turn up elsewhere. The same seed makes the same image.
/// </summary>
internal sealed class Mutator(IReadOnlyList<SeedImage> seeds)
{
    private const int MaxLength = 1 << 20;

    /// <summary>The image of a seed, and what was done to it in words.</summary>
    internal (byte[] Image, string Story) Make(ulong seed)
    {
        var random = new Random(unchecked((int)(seed * 2654435761)));
        SeedImage origin = seeds[(int)(seed % (ulong)seeds.Count)];
        byte[] image = [.. origin.Bytes];
        List<string> story = [origin.Name];
        for (int changes = random.Next(4) == 0 ? random.Next(2, 6) : 1; changes > 0 && image.Length > 0; changes--)
        {
            image = random.Next(20) switch
            {
                < 12 => ChangeField(image, origin, random, story),
                < 15 => FlipBytes(image, random, story),
                < 17 => Truncate(image, origin, random, story),
                18 => Extend(image, random, story),
                _ => Splice(image, seeds[random.Next(seeds.Count)], origin, random, story),
            };
        }

        return (image, string.Join("; ", story));
    }

    private static byte[] ChangeField(byte[] image, SeedImage origin, Random random, List<string> story)
    {
        // A file has a thousand times more table entries than header fields, and far less happens in them.
        int count = origin.Fields.Count;
        int pick = random.Next(2) == 0 ? random.Next(Math.Min(40, Math.Max(count, 1))) : random.Next(Math.Max(count, 1));
        FieldSpot spot = count == 0 ? new FieldSpot(random.Next(image.Length), 1, "byte") : origin.Fields[pick];
        if (spot.Offset + spot.Width > image.Length)
        {
            return image;
        }

        Span<byte> bytes = image.AsSpan(spot.Offset, spot.Width);
        ulong value = Interesting(Read(bytes, origin.Order), image, origin, random);
        Write(bytes, origin.Order, value);
        story.Add($"{spot.Name} at {spot.Offset} = 0x{value:x}");
        return image;
    }

    private static ulong Interesting(ulong old, byte[] image, SeedImage origin, Random random)
    {
        ulong cluster = (uint)origin.ClusterSize;
        ulong place = (uint)random.Next((image.Length / origin.ClusterSize) + 2) * cluster;
        FieldSpot other = origin.Fields.Count == 0 ? new FieldSpot(0, 1, "") : origin.Fields[random.Next(origin.Fields.Count)];
        return random.Next(16) switch
        {
            0 => 0,
            1 => 1,
            2 => ulong.MaxValue,
            3 => old + 1,
            4 => old - 1,
            5 => old ^ (1UL << random.Next(64)),
            6 => 1UL << random.Next(64),
            7 => (1UL << random.Next(1, 64)) - 1,
            8 => place,
            9 => place | 1UL << 63,
            10 => place | 1UL << 62 | (uint)random.Next(origin.ClusterSize),
            11 => (ulong)image.Length,
            12 => old + cluster,
            13 => old - cluster,
            14 when other.Offset + other.Width <= image.Length => Read(image.AsSpan(other.Offset, other.Width), origin.Order),
            _ => (ulong)random.NextInt64(),
        };
    }

    private static byte[] FlipBytes(byte[] image, Random random, List<string> story)
    {
        int at = random.Next(image.Length);
        int count = Math.Min(random.Next(1, 9), image.Length - at);
        random.NextBytes(image.AsSpan(at, count));
        story.Add($"{count} random bytes at {at}");
        return image;
    }

    private static byte[] Truncate(byte[] image, SeedImage origin, Random random, List<string> story)
    {
        int length = random.Next(image.Length);
        length = random.Next(2) == 0 ? length : length / origin.ClusterSize * origin.ClusterSize;
        story.Add($"cut at {length}");
        return image[..length];
    }

    private static byte[] Extend(byte[] image, Random random, List<string> story)
    {
        int length = Math.Min(MaxLength, image.Length + random.Next(1, 100_000));
        story.Add($"longer, {length}");
        Array.Resize(ref image, Math.Max(image.Length, length));
        return image;
    }

    private static byte[] Splice(byte[] image, SeedImage from, SeedImage origin, Random random, List<string> story)
    {
        int unit = random.Next(2) == 0 ? origin.ClusterSize : 8;
        int source = random.Next(from.Bytes.Length) / unit * unit;
        int target = random.Next(image.Length) / unit * unit;
        int length = Math.Min(unit * random.Next(1, 5), Math.Min(from.Bytes.Length - source, image.Length - target));
        from.Bytes.AsSpan(source, length).CopyTo(image.AsSpan(target));
        story.Add($"{length} bytes of {from.Name} at {source} copied to {target}");
        return image;
    }

    private static ulong Read(ReadOnlySpan<byte> bytes, ByteOrder order)
    {
        ulong value = 0;
        for (int i = 0; i < bytes.Length; i++)
        {
            value = value << 8 | bytes[order == ByteOrder.BigEndian ? i : bytes.Length - 1 - i];
        }

        return value;
    }

    private static void Write(Span<byte> bytes, ByteOrder order, ulong value)
    {
        for (int i = 0; i < bytes.Length; i++, value >>= 8)
        {
            bytes[order == ByteOrder.BigEndian ? bytes.Length - 1 - i : i] = (byte)value;
        }
    }
}
