using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.TestKit.Formats.Qcow2;
using BlockLayer.TestKit.Hostile;
using Xunit;

namespace BlockLayer.Tests.Images.Hostile.Structures;

/// <summary>Bitmaps, which the disk does not need. Who writes past one that he cannot keep makes it untrue. qcow2 spec, "Bitmaps".</summary>
internal static class BitmapCases
{
    private const string Seed = "bitmaps";
    private const int TableOffsetAt = 0;
    private const int TableSizeAt = 8;
    private const int FlagsAt = 12;
    private const int TypeAt = 16;
    private const int GranularityAt = 17;
    private const int NameSizeAt = 18;
    private const int ExtraSizeAt = 20;

    /// <summary>Where the extension's fields are: the seed has it first.</summary>
    private static readonly int s_extension = Qcow2Seeds.Get(Seed).Fields.First(static field => field.Name == "extension 0x23852875 data").Offset;

    internal static IEnumerable<StructureCase> All =>
    [
        ReadOnly("2.17 65536 bitmaps", static image => image.Write32(s_extension, 65536)),
        ReadOnly("2.17 no bitmaps", static image => image.Write32(s_extension, 0)),
        ReadOnly("2.17 one bitmap more than there is", static image => image.Write32(s_extension, 3)),
        ReadOnly("2.17 directory over 64 MiB", static image => image.Write(s_extension + 8, 64 << 20)),
        ReadOnly("2.17 directory of 2^64-1 bytes", static image => image.Write(s_extension + 8, ulong.MaxValue)),
        ReadOnly("2.17 directory truncated", static image => image.Write(s_extension + 8, image.Read(s_extension + 8) - 8)),
        ReadOnly("2.17 directory past the end", static image => image.Write(s_extension + 16, 1 << 30)),
        ReadOnly("2.17 directory unaligned", static image => image.Flip(s_extension + 16, 8)),
        ReadOnly("2.17 name of 65535 bytes", static image => Write16(image, image.BitmapDirectory!.Value + NameSizeAt, 0xffff)),
        Unusable("2.17 name of 1024 bytes", static image => Rename(image, 0, new string('n', 1024))),
        Unusable("2.17 name of no bytes", static image => Rename(image, 0, "")),
        ReadOnly("2.17 two bitmaps of one name", static image => Rename(image, 1, "fine")),
        Unusable("2.17 granularity 2^32", static image => image.File[image.BitmapDirectory!.Value + GranularityAt] = 32),
        Unusable("2.17 granularity 2^255", static image => image.File[image.BitmapDirectory!.Value + GranularityAt] = 255),
        Unusable("2.17 granularity 2^8", static image => image.File[image.BitmapDirectory!.Value + GranularityAt] = 8),
        Unusable("2.17 table over 0x8000000 entries", static image => image.Write32(image.BitmapDirectory!.Value + TableSizeAt, 0x8000001)),
        Unusable("2.17 table for over 512 MiB", static image => image.Write32(image.BitmapDirectory!.Value + TableSizeAt, (1 << 20) + 1)),
        Unusable("2.17 table of no entries", static image => image.Write32(image.BitmapDirectory!.Value + TableSizeAt, 0)),
        Unusable("2.17 table unaligned", static image => image.Flip(image.BitmapDirectory!.Value + TableOffsetAt, 8)),
        Unusable("2.17 table past the end", static image => image.Write(image.BitmapDirectory!.Value + TableOffsetAt, 1 << 30)),
        Unusable("2.17 type 2", static image => image.File[image.BitmapDirectory!.Value + TypeAt] = 2),
        Unusable("2.17 unknown flag", static image => image.Write32(image.BitmapDirectory!.Value + FlagsAt, 0x80)),
        Unusable("2.17 extra data that must be understood", static image => AddExtra(image, flags: 0)),
        ReadOnly("2.17 extra data past the directory", static image => image.Write32(image.BitmapDirectory!.Value + ExtraSizeAt, uint.MaxValue)),

        Ok("2.17 extra data that may be ignored", static image => AddExtra(image, flags: 4)),

        // What the format has for a writer that died: the bitmap says nothing any more, the disk is sound.
        Ok("2.17 in use", static image => image.Write32(image.BitmapDirectory!.Value + FlagsAt, 3)),
        Unusable("2.17 autoclear bit clear", static image => image.Write(Qcow2Case.AutoclearAt, 0)),
    ];

    private static StructureCase ReadOnly(string name, Action<DamagedImage> spoil)
        => Qcow2Case.Of(name, Seed, OpenVerdict.OpenReadOnly, BlockErrorKind.Corrupt, spoil);

    // One bitmap says nothing that can be used: the disk is written, and the bitmap is marked as not kept, so that nobody believes it later. The spec wants such a bitmap
    // left alone and says nothing against the disk; QEMU opens no image that has one.
    private static StructureCase Unusable(string name, Action<DamagedImage> spoil) => Qcow2Case.Of(name, Seed, OpenVerdict.OpenWithWarning, null, spoil);

    private static StructureCase Ok(string name, Action<DamagedImage> spoil) => Qcow2Case.Of(name, Seed, OpenVerdict.Ok, null, spoil);

    private static void Rename(DamagedImage image, int index, string name) => Change(image, index, entry => entry with { Name = name, NameBytes = System.Text.Encoding.UTF8.GetBytes(name) });

    private static void AddExtra(DamagedImage image, uint flags)
        => Change(image, 0, entry => entry with { Flags = flags, ExtraData = new byte[8], ExtraLength = 8 });

    // The directory is written anew in its own clusters, which the seed leaves mostly free.
    private static void Change(DamagedImage image, int index, Func<BitmapDirectoryEntry, BitmapDirectoryEntry> change)
    {
        int at = (int)image.BitmapDirectory!.Value;
        List<BitmapDirectoryEntry> entries = [];
        for (int i = 0, next = at; i < 2; i++)
        {
            Assert.True(BitmapDirectoryEntry.TryParse(image.File.AsSpan(next), out BitmapDirectoryEntry? entry, out int length));
            entries.Add(i == index ? change(entry!) : entry!);
            next += length;
        }

        byte[] directory = BitmapDirectory.ToBytes(entries);
        if (directory.Length > image.Geometry.ClusterSize)
        {
            at = (int)Qcow2Case.Append(image, directory.Length / image.Geometry.ClusterSize + 1);
            image.Write(s_extension + 16, (ulong)at);
            RefcountBlock counts = new(image.File.AsSpan((int)image.RefcountBlock, image.Geometry.ClusterSize), image.Geometry.RefcountOrder);
            for (int cluster = at / image.Geometry.ClusterSize; cluster < image.File.Length / image.Geometry.ClusterSize; cluster++)
            {
                counts[cluster] = 1;
            }
        }

        directory.CopyTo(image.File.AsSpan(at));
        image.Write(s_extension + 8, (ulong)directory.Length);
    }

    private static void Write16(DamagedImage image, long at, ushort value)
    {
        image.File[at] = (byte)(value >> 8);
        image.File[at + 1] = (byte)value;
    }
}
