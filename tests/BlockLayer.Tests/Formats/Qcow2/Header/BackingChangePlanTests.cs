using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Header;

public sealed class BackingChangePlanTests
{
    private static readonly BackingReference s_base = new("base.qcow2", "qcow2");
    private static readonly HeaderExtension s_bitmaps = HeaderExtension.Create(HeaderExtensionType.Bitmaps, Enumerable.Range(1, 24).Select(static i => (byte)i).ToArray());
    private static readonly HeaderExtension s_unknown = HeaderExtension.Create((HeaderExtensionType)0x11223344, new byte[] { 1, 2, 3 });

    public static TheoryData<string, string> Changes
    {
        get
        {
            TheoryData<string, string> data = [];
            foreach (string layout in (string[])["v2", "v3", "v3 with bitmaps", "v3 bitmaps first", "512 B clusters", "1 KiB clusters"])
            {
                foreach (string change in (string[])["none to name", "name to name", "name to longer", "name to none", "format to format", "format to no format"])
                {
                    data.Add(layout, change);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Changes))]
    public void Crash_at_any_moment_leaves_the_old_reference_or_the_new_one(string layout, string change)
    {
        (BackingReference? from, BackingReference? to) = References(change);
        byte[] before = Image(layout, from);
        Assert.Equal(BackingChangeRefusal.None, BackingChangePlan.TryCreate(before, to, out HeaderChangePlan? plan));
        byte[] disk = [.. before];
        bool committed = false;
        foreach (HeaderWrite write in plan!.Writes)
        {
            foreach (byte[] survivor in Torn(disk, write))
            {
                BackingReference? seen = Reference(survivor);
                Assert.True(seen == from || seen == to, $"after a crash in the write at {write.Offset} the header says {seen}");
                Assert.False(committed && seen == from && from != to, "a finished change came back");
                AssertOthersKept(before, survivor);
            }

            write.Bytes.Span.CopyTo(disk.AsSpan((int)write.Offset.Value));
            committed |= write.Offset.Value == 0;
        }

        Assert.Equal(to, Reference(disk));
        AssertOthersKept(before, disk);
        Assert.Equal(disk, plan.Header.WriteOver(disk));
    }

    [Fact]
    public void Format_becomes_the_first_extension_and_all_others_stay()
    {
        HeaderChangePlan plan = Plan(Image("v3 with bitmaps", null), s_base);
        Assert.Equal(
            [HeaderExtensionType.BackingFormat, HeaderExtensionType.FeatureNameTable, HeaderExtensionType.Bitmaps, s_unknown.Type],
            plan.Header.Extensions.Items.Select(static item => item.Type));
    }

    [Fact]
    public void Usual_change_is_one_name_and_one_sector()
    {
        HeaderChangePlan plan = Plan(Image("v3", s_base), new("other.raw", "raw"));
        Assert.Equal([false, true], plan.Writes.Select(static write => write.Offset.Value == 0));
        Assert.Equal(512, plan.Writes[1].Bytes.Length);
    }

    [Fact]
    public void Changes_back_and_forth_find_room_for_ever()
    {
        byte[] disk = Image("v3", s_base);
        for (int i = 0; i < 50; i++)
        {
            BackingReference target = new(new string((char)('a' + i % 26), 1 + i * 20), i % 2 == 0 ? "raw" : "qcow2");
            foreach (HeaderWrite write in Plan(disk, target).Writes)
            {
                write.Bytes.Span.CopyTo(disk.AsSpan((int)write.Offset.Value));
            }

            Assert.Equal(target, Reference(disk));
        }
    }

    [Theory]
    [InlineData(1024, "raw")]
    [InlineData(1, "sixteen-letters!")]
    public void Name_or_format_beyond_the_format_is_refused(int length, string format)
        => Assert.Equal(BackingChangeRefusal.TooLong, BackingChangePlan.TryCreate(Image("v3", null), new(new string('n', length), format), out _));

    [Fact]
    public void Name_without_room_in_the_first_cluster_is_refused()
        => Assert.Equal(BackingChangeRefusal.NoRoom, BackingChangePlan.TryCreate(Image("512 B clusters", null), new(new string('n', 400), "raw"), out _));

    [Fact]
    public void Extensions_that_would_have_to_move_across_sectors_refuse_a_format_that_is_not_there()
    {
        HeaderExtension large = HeaderExtension.Create((HeaderExtensionType)0x11223344, new byte[1000]);
        byte[] image = (TestHeaders.Version3() with { Extensions = HeaderExtensions.Create([large, s_bitmaps]) }).Bytes();
        Assert.Equal(BackingChangeRefusal.ExtensionsInTheWay, BackingChangePlan.TryCreate(image, s_base, out _));
        Assert.Equal(BackingChangeRefusal.None, BackingChangePlan.TryCreate(image, new("name only", null), out _));
    }

    [Fact]
    public void Name_is_removed_even_where_the_recorded_format_cannot_go()
    {
        HeaderExtension large = HeaderExtension.Create((HeaderExtensionType)0x11223344, Enumerable.Repeat((byte)7, 1000).ToArray());
        Qcow2Header header = TestHeaders.Version3() with
        {
            Extensions = HeaderExtensions.Create([HeaderExtension.Create(HeaderExtensionType.BackingFormat, "raw"), large, s_bitmaps]),
        };
        HeaderChangePlan plan = Plan(header.WithNewBackingName("base").Bytes(), target: null);
        Assert.Equal((false, "raw"), (plan.Header.HasBackingFile, plan.Header.BackingFormat));
    }

    private static (BackingReference? From, BackingReference? To) References(string change) => change switch
    {
        "none to name" => (null, s_base),
        "name to name" => (s_base, new("other.qcow2", "qcow2")),
        "name to longer" => (s_base, new(new string('n', 100), "raw")),
        "name to none" => (s_base, null),
        "format to format" => (s_base, new("base.qcow2", "fourteen-chars")),
        _ => (s_base, new("base.qcow2", null)),
    };

    private static byte[] Image(string layout, BackingReference? backing)
    {
        HeaderExtension[] format = backing?.Format is { } name ? [HeaderExtension.Create(HeaderExtensionType.BackingFormat, name)] : [];
        HeaderExtension names = FeatureNameTable.Create();
        Qcow2Header header = TestHeaders.Version3();
        header = layout switch
        {
            "v2" => TestHeaders.Version2() with { Extensions = HeaderExtensions.Create([.. format, s_unknown]) },
            "v3" => header with { Extensions = HeaderExtensions.Create([.. format, names]) },
            "v3 with bitmaps" => header with { Extensions = HeaderExtensions.Create([.. format, names, s_bitmaps, s_unknown]) },
            "v3 bitmaps first" => header with { Extensions = HeaderExtensions.Create([s_bitmaps, s_unknown, .. format, names]) },
            "512 B clusters" => header with { ClusterBits = 9, Extensions = HeaderExtensions.Create([.. format, s_unknown]) },
            _ => header with { ClusterBits = 10, Extensions = HeaderExtensions.Create([.. format, names]) },
        };
        return (backing is null ? header : header.WithNewBackingName(backing.Name)).Bytes();
    }

    private static HeaderChangePlan Plan(byte[] image, BackingReference? target)
    {
        Assert.Equal(BackingChangeRefusal.None, BackingChangePlan.TryCreate(image, target, out HeaderChangePlan? plan));
        return plan!;
    }

    private static BackingReference? Reference(byte[] image)
    {
        Qcow2Header header = Qcow2Header.Parse(image);
        return header.BackingName is { } name ? new BackingReference(name, header.BackingFormat) : null;
    }

    /// <summary>Everything but the reference and the optional feature names is there at every moment.</summary>
    private static void AssertOthersKept(byte[] before, byte[] after)
    {
        Assert.Equal(Others(before), Others(after));

        static string[] Others(byte[] image) => [.. Qcow2Header.Parse(image).Extensions.Items
            .Where(static item => item.Type is not (HeaderExtensionType.BackingFormat or HeaderExtensionType.FeatureNameTable))
            .Select(static item => $"{item.Type}: {Convert.ToHexString(item.Data.Span)}")
            .Order(StringComparer.Ordinal)];
    }

    /// <summary>The disk with every subset of the sectors that a write touches.</summary>
    private static IEnumerable<byte[]> Torn(byte[] disk, HeaderWrite write)
    {
        long first = write.Offset.Value / 512;
        long sectors = (write.Offset.Value + write.Bytes.Length - 1) / 512 - first + 1;
        for (int subset = 0; subset < 1 << (int)sectors; subset++)
        {
            byte[] survivor = [.. disk];
            for (int i = 0; i < write.Bytes.Length; i++)
            {
                long at = write.Offset.Value + i;
                if ((subset >> (int)(at / 512 - first) & 1) != 0)
                {
                    survivor[at] = write.Bytes.Span[i];
                }
            }

            yield return survivor;
        }
    }
}

/// <summary>Names the check that a plan's header is the one on disk.</summary>
file static class HeaderBytes
{
    public static byte[] WriteOver(this Qcow2Header header, byte[] cluster)
    {
        byte[] written = [.. cluster];
        header.WriteTo(written);
        return written;
    }
}
