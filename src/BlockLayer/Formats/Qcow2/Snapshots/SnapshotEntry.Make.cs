using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.Qcow2;

// New entries, and what they are read for.
internal sealed partial record SnapshotEntry
{
    /// <summary>Makes an entry without VM state, in the layout that both versions take.</summary>
    /// <param name="id">The unique ID.</param>
    /// <param name="name">The name; see <see cref="ThrowIfNotAName"/>.</param>
    /// <param name="taken">When the snapshot is taken.</param>
    /// <param name="diskSize">Bytes of the virtual disk.</param>
    /// <param name="l1Table">Where its L1 table starts.</param>
    /// <param name="l1Size">Entries in it.</param>
    public static SnapshotEntry Create(string id, string name, DateTimeOffset taken, long diskSize, HostOffset l1Table, uint l1Size)
    {
        const int ExtraLength = InstructionCountAt + 8 - FixedLength;
        byte[] idBytes = Encoding.UTF8.GetBytes(id);
        byte[] nameBytes = Encoding.UTF8.GetBytes(name);
        byte[] raw = new byte[Alignment.RoundUp(FixedLength + ExtraLength + idBytes.Length + nameBytes.Length, 8)];
        TimeSpan since = taken - DateTimeOffset.UnixEpoch;
        BinaryPrimitives.WriteUInt16BigEndian(raw.AsSpan(IdSizeAt), (ushort)idBytes.Length);
        BinaryPrimitives.WriteUInt16BigEndian(raw.AsSpan(NameSizeAt), (ushort)nameBytes.Length);
        BinaryPrimitives.WriteUInt32BigEndian(raw.AsSpan(SecondsAt), (uint)Math.Clamp(since.Ticks / TimeSpan.TicksPerSecond, 0, uint.MaxValue));
        BinaryPrimitives.WriteUInt32BigEndian(raw.AsSpan(NanosecondsAt), (uint)(since.Ticks % TimeSpan.TicksPerSecond * TimeSpan.NanosecondsPerTick));
        BinaryPrimitives.WriteUInt32BigEndian(raw.AsSpan(ExtraSizeAt), ExtraLength);
        BinaryPrimitives.WriteInt64BigEndian(raw.AsSpan(DiskSizeAt), diskSize);
        BinaryPrimitives.WriteUInt64BigEndian(raw.AsSpan(InstructionCountAt), ulong.MaxValue); // qcow2 spec: -1, nobody counted
        idBytes.CopyTo(raw, FixedLength + ExtraLength);
        nameBytes.CopyTo(raw, FixedLength + ExtraLength + idBytes.Length);
        return new SnapshotEntry(raw).WithL1(l1Table, l1Size);
    }

    /// <exception cref="ArgumentException">The text cannot be a name: too long for QEMU to show, or with a character that ends it there.</exception>
    public static void ThrowIfNotAName(string name)
    {
        if (Encoding.UTF8.GetByteCount(name) > Qcow2Limits.MaxSnapshotNameLength || name.Contains('\0', StringComparison.Ordinal))
        {
            throw new ArgumentException($"A snapshot's name is at most {Qcow2Limits.MaxSnapshotNameLength} bytes of UTF-8 without a zero character.", nameof(name));
        }
    }

    /// <summary>The same entry with its padding, which the last one of a file may lack.</summary>
    public SnapshotEntry Padded()
    {
        byte[] raw = new byte[Alignment.RoundUp(Raw.Length, 8)];
        Raw.CopyTo(raw);
        return raw.Length == Raw.Length ? this : new SnapshotEntry(raw);
    }

    /// <summary>The entry that starts as this one, with other extra data and texts.</summary>
    /// <param name="extra">Extra data; its length replaces that of this one.</param>
    /// <param name="text">ID and name, as long as this one says.</param>
    public SnapshotEntry Of(ReadOnlySpan<byte> extra, ReadOnlySpan<byte> text)
    {
        byte[] raw = new byte[Alignment.RoundUp(FixedLength + extra.Length + text.Length, 8)];
        Raw.Span[..FixedLength].CopyTo(raw);
        BinaryPrimitives.WriteUInt32BigEndian(raw.AsSpan(ExtraSizeAt), (uint)extra.Length);
        extra.CopyTo(raw.AsSpan(FixedLength));
        text.CopyTo(raw.AsSpan(FixedLength + extra.Length));
        return new SnapshotEntry(raw);
    }

    /// <summary>The same entry with ID and name up to their first zero byte, where QEMU ends them: they were read where other things may lie.</summary>
    public SnapshotEntry WithEndedTexts()
    {
        ReadOnlySpan<byte> id = UpToZero(Raw.Span.Slice(FixedLength + (int)ExtraLength, IdLength));
        ReadOnlySpan<byte> name = UpToZero(Raw.Span.Slice(FixedLength + (int)ExtraLength + IdLength, NameLength));
        byte[] start = Raw[..FixedLength].ToArray();
        BinaryPrimitives.WriteUInt16BigEndian(start.AsSpan(IdSizeAt), (ushort)id.Length);
        BinaryPrimitives.WriteUInt16BigEndian(start.AsSpan(NameSizeAt), (ushort)name.Length);
        return new SnapshotEntry(start).Of(Raw.Span.Slice(FixedLength, (int)ExtraLength), [.. id, .. name]);
    }

    /// <summary>Reads the snapshot's L1 table, whose place <see cref="Validate"/> has judged. The words are not judged.</summary>
    public async ValueTask<ulong[]> LoadL1Async(IMetadataReader file, CancellationToken cancellationToken)
    {
        byte[] bytes = new byte[L1TableRange.Length];
        await file.ReadPaddedAsync(L1TableOffset.Value, bytes, cancellationToken).ConfigureAwait(false);
        ulong[] words = MemoryMarshal.Cast<byte, ulong>(bytes).ToArray();
        WordTable.SwapBytes(words);
        return words;
    }

    /// <summary>What people are told of the snapshot.</summary>
    /// <param name="virtualSize">Bytes of the disk now, for an entry that does not say.</param>
    public SnapshotInfo ToInfo(long virtualSize) => new()
    {
        Id = Id,
        Name = Name,
        Taken = Taken,
        GuestNanoseconds = GuestTime,
        VmStateSize = VmStateSize,
        DiskSize = DiskSize is { } size ? (long)Math.Min(size, long.MaxValue) : virtualSize,
        InstructionCount = InstructionCount,
    };

    /// <summary>Bytes of the disk that the snapshot shows.</summary>
    /// <param name="g">The image's geometry.</param>
    /// <param name="virtualSize">Bytes of the disk now, for an entry that does not say.</param>
    /// <exception cref="ImageFormatException">InvalidFormat: its L1 table is too short for the size it claims.</exception>
    public long RequireDiskSize(ClusterGeometry g, long virtualSize)
    {
        ulong size = DiskSize ?? (ulong)virtualSize;
        return size <= long.MaxValue && g.L1EntriesFor((long)size) <= L1Size
            ? (long)size
            : throw ImageFormatException.Invalid(
                $"disk size of snapshot '{Name}'", L1TableOffset.Value, $"{size}", $"what its {L1Size} L1 entries of {g.L2TableReach} bytes each can map");
    }

    private static ReadOnlySpan<byte> UpToZero(ReadOnlySpan<byte> text) => text.IndexOf((byte)0) is >= 0 and var end ? text[..end] : text;
}
