namespace BlockLayer.Benchmarks.SideBySide;

/// <summary>Content for images: seeded, so that a run can be repeated.</summary>
internal static class TestData
{
    private const int Chunk = 1 << 20;

    /// <summary>A file of bytes that do not compress.</summary>
    internal static Task WriteRandomFileAsync(string path, long length)
        => WriteAsync(path, length, static (random, buffer) => random.NextBytes(buffer));

    /// <summary>A file that compresses about as well as a system disk does: text-like runs, some noise, some zeroes.</summary>
    internal static Task WriteMixedFileAsync(string path, long length)
        => WriteAsync(path, length, static (random, buffer) =>
        {
            Span<byte> words = stackalloc byte[4096];
            random.NextBytes(words);
            for (int at = 0; at < buffer.Length;)
            {
                int run = Math.Min(random.Next(16, 600), buffer.Length - at);
                Span<byte> target = buffer.AsSpan(at, run);
                switch (random.Next(8))
                {
                    case 0:
                        random.NextBytes(target);
                        break;
                    case 1:
                        target.Clear();
                        break;
                    default:
                        words.Slice(random.Next(words.Length - run), run).CopyTo(target);
                        break;
                }

                at += run;
            }
        });

    /// <summary>Writes a file back and takes it out of the page cache.</summary>
    internal static Task DropFromCacheAsync(string path) => Tool.RunAsync("dd", $"if={path}", "iflag=nocache", "count=0", "status=none");

    private static async Task WriteAsync(string path, long length, Action<Random, byte[]> fill)
    {
        var random = new Random(1);
        byte[] buffer = new byte[Chunk];
        await using FileStream file = File.Create(path);
        for (long at = 0; at < length; at += Chunk)
        {
            fill(random, buffer);
            await file.WriteAsync(buffer.AsMemory(0, (int)Math.Min(Chunk, length - at)));
        }

        file.Flush(flushToDisk: true);
    }
}
