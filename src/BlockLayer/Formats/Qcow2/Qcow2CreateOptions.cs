using System.Diagnostics.CodeAnalysis;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

/// <summary>What a new qcow2 image is to be like. The defaults are qemu-img's.</summary>
public sealed partial record Qcow2CreateOptions : ImageCreateOptions
{
    /// <summary>Plain options with qcow2's defaults.</summary>
    [SetsRequiredMembers]
    public Qcow2CreateOptions(ImageCreateOptions basic)
        : base(basic)
    {
    }

    /// <summary>Options for a disk of a size.</summary>
    public Qcow2CreateOptions()
    {
    }

    /// <summary>Version of the format: 3 (compat=1.1) or 2 (compat=0.10).</summary>
    public int Version { get; init; } = 3;

    /// <summary>Bytes in a cluster: a power of two from 512 to 2 MiB; at least 16 KiB with <see cref="ExtendedL2"/>.</summary>
    public int ClusterSize { get; init; } = 64 * 1024;

    /// <summary>Width of a refcount in bits: a power of two from 1 to 64. Version 2 has 16.</summary>
    public int RefcountBits { get; init; } = 16;

    /// <summary>How clusters that are written compressed will be: zlib, or zstd (version 3).</summary>
    public string Compression { get; init; } = "zlib";

    /// <summary>Lets other programs postpone refcount updates (version 3). This library never does.</summary>
    public bool LazyRefcounts { get; init; }

    /// <summary>Divides each cluster into 32 subclusters, which are allocated one by one (version 3): less to copy for a small write to a large cluster.</summary>
    public bool ExtendedL2 { get; init; }

    /// <summary>How much of the room is taken at once. Over a backing file only with <see cref="ExtendedL2"/>.</summary>
    public Preallocation Preallocation { get; init; }

    /// <summary>
    /// The file that guest clusters are to lie in (version 3): a path relative to the new image's directory, or absolute; null keeps them in the image. The name is
    /// recorded as it is, and the file is created with the image, or replaced.
    /// </summary>
    public string? DataFile { get; init; }

    /// <summary>What <see cref="DataFile"/> is to be by itself.</summary>
    public DataFileLayout DataFileLayout { get; init; }

    /// <summary>How the image is encrypted, under <see cref="ImageCreateOptions.Passphrase"/>; null for not at all.</summary>
    public LuksCreateOptions? Encryption { get; init; }

    /// <summary>
    /// Encrypts the image as QEMU did before it had LUKS (encrypt.format=aes), for programs that know nothing else: AES-128-CBC under the first 16 bytes of the passphrase, which
    /// nothing slows down to guess, and which cannot be changed. Instead of <see cref="Encryption"/>.
    /// </summary>
    public bool LegacyAes { get; init; }

    /// <summary>Reads qemu-img's spelling.</summary>
    internal static Qcow2CreateOptions Parse(ImageCreateOptions basic, IReadOnlyDictionary<string, string> options)
    {
        var result = new Qcow2CreateOptions(basic);
        foreach ((string name, string value) in options)
        {
            result = name switch
            {
                "compat" => result with { Version = ParseVersion(value) },
                "cluster_size" => result with { ClusterSize = ParsePowerOfTwo(name, value, 1 << Qcow2Limits.MinClusterBits, 1 << Qcow2Limits.MaxClusterBits) },
                "refcount_bits" => result with { RefcountBits = ParsePowerOfTwo(name, value, 1, 1 << Qcow2Limits.MaxRefcountOrder) },
                "compression_type" => result with { Compression = ParseWord(name, value, "zlib", "zstd") },
                "lazy_refcounts" => result with { LazyRefcounts = ParseWord(name, value, "off", "on") == "on" },
                "encryption" => ParseWord(name, value, "off", "on") == "on" ? result with { LegacyAes = true } : result,
                "encrypt.format" => result.WithEncryptionFormat(name, value),
                _ when name.StartsWith("encrypt.", StringComparison.Ordinal) => result with { Encryption = ParseEncryption(result.Encryption ?? new LuksCreateOptions(), name, value) },
                "data_file" => result with { DataFile = value },
                "data_file_raw" => result with { DataFileLayout = ParseWord(name, value, "off", "on") == "on" ? DataFileLayout.Raw : DataFileLayout.Clusters },
                "preallocation" => result with
                {
                    Preallocation = PreallocationNames.Parse(value, Preallocation.Off, Preallocation.Metadata, Preallocation.Falloc, Preallocation.Full),
                },
                "extended_l2" => result with { ExtendedL2 = ParseWord(name, value, "off", "on") == "on" },
                _ => throw new ArgumentException(
                    $"Format qcow2 has no option '{name}'; it has compat, cluster_size, refcount_bits, compression_type, lazy_refcounts, data_file, data_file_raw, preallocation, extended_l2, encryption, encrypt.format (luks or aes), encrypt.iterations, encrypt.cipher-alg, encrypt.cipher-mode, encrypt.ivgen-alg, encrypt.ivgen-hash-alg, encrypt.hash-alg."),
            };
        }

        result.ThrowIfContradictory();
        return result;
    }

    /// <exception cref="ArgumentException">A value the format does not take, or two that exclude each other.</exception>
    internal void ThrowIfContradictory()
    {
        ParsePowerOfTwo("cluster_size", ClusterSize, 1 << Qcow2Limits.MinClusterBits, 1 << Qcow2Limits.MaxClusterBits);
        ParsePowerOfTwo("refcount_bits", RefcountBits, 1, 1 << Qcow2Limits.MaxRefcountOrder);
        if (Version is not (2 or 3))
        {
            throw new ArgumentException($"Version is {Version}; it can be 2 or 3.");
        }

        if (Version == 2 && (RefcountBits != 16 || LazyRefcounts || Compression != "zlib" || ExtendedL2))
        {
            throw new ArgumentException(
                "An image of version 2 (compat=0.10) has refcount_bits=16, lazy_refcounts=off, compression_type=zlib and extended_l2=off; other values need compat=1.1.");
        }

        if (ExtendedL2 && ClusterSize < 1 << Qcow2Limits.MinExtendedL2ClusterBits)
        {
            throw new ArgumentException($"cluster_size is {ClusterSize}; with extended_l2=on it is at least {1 << Qcow2Limits.MinExtendedL2ClusterBits}.");
        }

        if (Preallocation != Preallocation.Off && Backing is not null && !ExtendedL2)
        {
            throw new ArgumentException("preallocation would hide the backing file, except with extended_l2=on.");
        }

        ThrowIfDataFileContradictory();
        ThrowIfEncryptionContradictory();
        ParseWord("compression_type", Compression, "zlib", "zstd");
        if (Backing is { Format: null } backing)
        {
            throw new ArgumentException($"The format of the backing file {backing} has to be given: it is recorded with the name.");
        }
    }

    private void ThrowIfDataFileContradictory()
    {
        if (DataFile is null)
        {
            if (DataFileLayout == DataFileLayout.Raw)
            {
                throw new ArgumentException("data_file_raw=on needs data_file, the name of that file.");
            }

            return;
        }

        if (DataFile.Length == 0 || DataFile.Contains('\0', StringComparison.Ordinal))
        {
            throw new ArgumentException("data_file is empty or has a NUL in it; it names a file.");
        }

        if (Version == 2)
        {
            throw new ArgumentException("An image of version 2 (compat=0.10) has no data_file; it needs compat=1.1.");
        }

        if (DataFileLayout == DataFileLayout.Raw && Backing is not null)
        {
            throw new ArgumentException("data_file_raw=on and a backing file exclude each other: a raw data file holds the whole disk.");
        }
    }

    private static int ParseVersion(string value) => value switch
    {
        "0.10" or "v2" => 2,
        "1.1" or "v3" => 3,
        _ => throw new ArgumentException($"compat is '{value}'; it can be 0.10 (v2) or 1.1 (v3)."),
    };

    private static string ParseWord(string name, string value, params string[] allowed)
        => allowed.Contains(value) ? value : throw new ArgumentException($"{name} is '{value}'; it can be {string.Join(" or ", allowed)}.");

    private static int ParsePowerOfTwo(string name, string value, int minimum, int maximum)
        => ByteSize.TryParse(value, out long number)
            ? ParsePowerOfTwo(name, number, minimum, maximum)
            : throw new ArgumentException($"{name} is '{value}', which is no number.");

    private static int ParsePowerOfTwo(string name, long value, int minimum, int maximum)
        => value >= minimum && value <= maximum && long.IsPow2(value)
            ? (int)value
            : throw new ArgumentException($"{name} is {value}; it can be a power of two from {minimum} to {maximum}.");
}
