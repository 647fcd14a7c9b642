using Xunit;
using static BlockLayer.Libvirt.Tests.Snapshots.SnapshotSamples;

namespace BlockLayer.Libvirt.Tests.Snapshots;

/// <summary>Who comes from whom, and what a deletion makes of it.</summary>
public class SnapshotTreeTests
{
    // s1 ── s2 ── s4
    //  └─── s3 (current)
    private static SnapshotTree Branched => SnapshotTree.Of(
        [Record("s1", null, "a", "b"), Record("s2", "s1", "b", "c"), Record("s3", "s1", "b", "d"), Record("s4", "s2", "c", "e")],
        "s3");

    [Fact]
    public void Relations_are_told()
    {
        SnapshotTree tree = Branched;
        Assert.Equal(["s1"], Names(tree.Roots));
        Assert.Equal(["s2", "s3"], Names(tree.ChildrenOf("s1")));
        Assert.Equal(["s2", "s3", "s4"], Names(tree.DescendantsOf("s1")));
        Assert.Empty(tree.DescendantsOf("s4"));
        Assert.Equal("s3", tree.Current.Name);
        Assert.Equal(LibvirtErrorCode.NoDomainSnapshot, Assert.Throws<LibvirtException>(() => tree.Find("s9")).Code);
        Assert.Equal("There is no current snapshot.", Assert.Throws<LibvirtException>(() => SnapshotTree.Empty.Current).Message);
    }

    [Fact]
    public void A_new_snapshot_comes_from_the_current_one_and_is_current()
    {
        SnapshotTree tree = Branched.Add(Record("s5", "s3", "d", "f"));
        Assert.Equal(("s5", "s3"), (tree.CurrentName, tree.Find("s5").Parent));
        Assert.Equal("There is a snapshot 's5' already.", Assert.Throws<LibvirtException>(() => tree.Add(Record("s5", "s5", "f", "g"))).Message);
        var error = Assert.Throws<LibvirtException>(() => tree.Add(Record("s6", "s3", "d", "g")));
        Assert.Equal("'s6' was planned on 's3', and 's5' is current now.", error.Message);
        Assert.Equal("s2", tree.WithCurrent("s2").CurrentName);
    }

    [Theory]
    [InlineData("s1", null, "s3")]
    [InlineData("s2", "s1", "s3")]
    [InlineData("s3", null, "s1")]
    public void Children_of_a_snapshot_that_is_gone_come_from_its_parent(string removed, string? expectedParent, string expectedCurrent)
    {
        SnapshotTree before = Branched;
        SnapshotTree after = before.Remove(removed, SnapshotMerge.Untouched);
        Assert.All(before.ChildrenOf(removed), child => Assert.Equal(expectedParent, after.Find(child.Name).Parent));
        Assert.Equal(expectedCurrent, after.CurrentName);
        Assert.Null(after.TryFind(removed));
    }

    // a <- b (s1) <- c (s2): which files the records name once one of them is deleted.
    [Theory]
    [InlineData("s1", MergeDirection.Backward, "s2: a<-c")]  // b went into a
    [InlineData("s1", MergeDirection.Forward, "s2: b<-c")]   // a went into b
    [InlineData("s2", MergeDirection.Backward, "s1: a<-b")]  // c went into b
    [InlineData("s2", MergeDirection.Forward, "s1: a<-c")]   // b went into c
    public void What_others_say_of_merged_files_follows(string removed, MergeDirection direction, string expected)
    {
        var tree = SnapshotTree.Of([Record("s1", null, "a", "b", direction), Record("s2", "s1", "b", "c", direction)], "s2");
        SnapshotRecord left = Assert.Single(tree.Remove(removed, SnapshotMerge.Merged).All);
        Assert.Equal(expected, $"{left.Name}: {Letter(left.Disks[0].Frozen)}<-{Letter(left.Disks[0].Overlay)}");
    }

    [Fact]
    public void Each_disk_follows_its_own_direction()
    {
        var tree = SnapshotTree.Of([Record("s1", null, "a", "b", MergeDirection.Forward), Record("s2", "s1", "b", "c")], "s2");
        SnapshotRecord left = Assert.Single(tree.Remove("s1", SnapshotMerge.Merged).All);
        Assert.Equal(("/vm/b", "/vm/a2"), (left.Disks[0].Frozen.Path, left.Disks[1].Frozen.Path));
    }

    [Fact]
    public void Every_branch_follows()
    {
        SnapshotTree after = Branched.Remove("s1", SnapshotMerge.Merged); // b went into a
        Assert.Equal("/vm/a", after.Find("s2").Disks[0].Frozen.Path);
        Assert.Equal("/vm/a", after.Find("s3").Disks[0].Frozen.Path);
        Assert.Equal("/vm/c", after.Find("s4").Disks[0].Frozen.Path);
    }

    [Fact]
    public void What_is_no_tree_is_refused()
    {
        Check([Record("s2", "s1", "a", "b")], null, "'s2' comes from 's1', which is not told before it.");
        Check([Record("s1", "s2", "a", "b"), Record("s2", "s1", "a", "b")], null, "'s1' comes from 's2', which is not told before it.");
        Check([Record("s1", "s1", "a", "b")], null, "'s1' comes from 's1', which is not told before it.");
        Check([Record("s1", null, "a", "b"), Record("s1", null, "a", "b")], null, "'s1' is there twice.");
        Check([Record("s1", null, "a", "b")], "s2", "'s2' is the current one and is not there.");

        static void Check(SnapshotRecord[] records, string? current, string message)
        {
            var error = Assert.Throws<LibvirtException>(() => SnapshotTree.Of(records, current));
            Assert.Equal((LibvirtErrorCode.InvalidDomainSnapshot, message), (error.Code, error.Message));
        }
    }

    private static IEnumerable<string> Names(IEnumerable<SnapshotRecord> records) => records.Select(record => record.Name);

    private static string Letter(DiskSource source) => source.Path["/vm/".Length..];
}
