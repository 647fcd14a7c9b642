using System.Reflection;
using BlockLayer.Graph;
using Xunit;

namespace BlockLayer.Tests.Images.Hostile;

/// <summary>
/// The table of contents of the hostile corpus: for everything that a line of it names, the case that holds it. Lines are those of its lists: known attacks (1), qcow2 (2),
/// QED (3), add-cow (4), and of jobs and use (5) what concerns opening. There may be more cases than are listed; what is listed is there once.
/// </summary>
public sealed class CorpusIndexTests
{
    // Attacks on protocols that this library does not speak have nothing to hit. Whoever adds a server is reminded to add their cases.
    private static readonly string[] s_withoutServer = ["CVE-2017-9524", "CVE-2017-15118", "CVE-2017-15119", "CVE-2024-7409"];

    private static readonly (string Line, string[] Cases)[] s_lines =
    [
        ("1", [
            "CVE-2008-2004, CVE-2010-2237, CVE-2010-2238, CVE-2010-2239", "CVE-2011-3147", "CVE-2013-1922", "CVE-2013-2096, GHSA-5644-2v3h-5w4x",
            "CVE-2014-0142, CVE-2014-0148", "CVE-2014-0143", "CVE-2014-0144", "CVE-2014-0145", "CVE-2014-0146", "CVE-2014-0147", "CVE-2014-0222, CVE-2014-0223",
            "CVE-2015-5162", "CVE-2015-5163", "CVE-2020-1711", "CVE-2022-47951", "CVE-2024-32498", "CVE-2024-40767, CVE-2024-44082, CVE-2026-24708", "CVE-2024-4467",
            "GHSA-jmr4-g2hv-mjj6"]),
        ("2.1", [
            "magic of something else", "version 0", "version 1", "version 4", "version 255", "file shorter than 72 bytes, version 2",
            "file shorter than 104 bytes, version 3", "header_length below 104", "header_length beyond the cluster", "header_length no multiple of 8"]),
        ("2.2", ["cluster_bits 8", "cluster_bits 22", "cluster_bits 63", "cluster_bits 64", "cluster_bits 255"]),
        ("2.3", ["refcount_order 7", "version 2 with 6 where version 3 has its refcount_order"]),
        ("2.4", ["unknown bit without a name table", "unknown bit with its name", "unknown bit, name table no multiple of 48", "bit 63"]),
        ("2.5", [
            "length past the first cluster", "length 2^32-1", "no end marker, the cluster is full", "no end marker, the area runs into a name", "a known type repeated",
            "an unknown type repeated", "backing format of 16 characters"]),
        ("2.6", [
            "name inside the header", "name inside the extensions", "name past the cluster", "name of 1024 bytes", "name of no bytes", "embedded NUL", "newline",
            "invalid UTF-8"]),
        ("2.7", [
            "absolute", "upwards", "symlink out of the folder", "/dev/sda", "device that is there", "FIFO", "/proc/self/fd/N", "UNC", "drive letter", "json:", "nbd:", "file:",
            "fd:", "own name", "own name by a link", "two-image loop", "A->B->A through a link", "chain of 200", "missing file", "backing format absent",
            "backing format lies: a raw disk as qcow2", "backing format lies: a qcow2 image as raw"]),
        ("2.8", ["bit without a name", "name without the bit", "data-file-raw without the bit", "the image itself", "its own backing file", "json:", "device node"]),
        ("2.9", [
            "size 0", "over 32 MiB", "too small for the virtual size", "unaligned", "past the end", "near 2^63", "in the header", "in the refcount table",
            "in a refcount block"]),
        ("2.10", [
            "unaligned", "past the end", "above 2^56", "into the header", "into the L1 table, which is the entry's own", "into the refcount table",
            "into a refcount block", "two L1 entries with one L2 table", "reserved high bit", "reserved low bit"]),
        ("2.11", [
            "unaligned", "host offset 0", "in the header", "in the L1 table", "in its own L2 table", "in the refcount table", "in a refcount block", "in the snapshot table",
            "in a snapshot's L1 table", "shared by two guest clusters with refcount 1", "copied with refcount 2", "copied with refcount 0",
            "preallocated zero, unaligned", "preallocated zero past the end"]),
        ("2.12", [
            "sectors beyond the end", "sectors beyond the next cluster", "output shorter than a cluster", "output longer than a cluster", "corrupt stream",
            "zstd frame with a window of terabytes", "many clusters with one stream, all counted", "many clusters with one stream, counted once", "with a data file",
            "copied and compressed"]),
        ("2.13", ["subcluster both allocated and zero", "allocated subclusters without a cluster", "clusters of 1 KiB"]),
        ("2.14", [
            "table of no clusters", "table over 8 MiB", "table unaligned", "table past the end", "block unaligned", "block past the end",
            "block inside the table that leads to it", "block that counts itself as free", "block shared by two entries", "block that no block covers",
            "count 0 of an L2 table", "count 0 of data", "every count as large as can be", "two users of a cluster, counted in one bit", "count 2^64-1"]),
        ("2.15", ["every covered cluster is taken", "every covered cluster is taken, and the table full"]),
        ("2.16", [
            "65537 snapshots", "table over 64 MiB", "extra data of 1025 bytes", "id size past the end", "name size past the end", "l1 size 2^31-1", "l1 unaligned",
            "two snapshots of one id", "vm state of 2^64-1 bytes", "disk size is not the header's"]),
        ("2.17", [
            "65536 bitmaps", "directory over 64 MiB", "directory truncated", "name of 1024 bytes", "granularity 2^32", "table over 0x8000000 entries",
            "table for over 512 MiB", "in use", "autoclear bit clear", "type 2", "extra data that must be understood", "extra data that may be ignored",
            "two bitmaps of one name"]),
        ("2.18", [
            "method 1 and no passphrase", "method 2 without a LUKS header", "method 9", "LUKS header unaligned", "LUKS header past the end",
            "key slot of 2^31 iterations", "digest of 2^31 iterations", "key slot in the payload"]),
        ("2.19", [
            "dirty bit", "corrupt bit", "dirty and corrupt bits", "file that cannot be written", "dirty bit and random refcounts", "dirty bit and no refcounts",
            "dirty bit and largest refcounts"]),
        ("2.20", [
            "size 0", "size 1", "size no multiple of 512", "size 2^63-1", "size 2^64-1", "file of 71 bytes", "file of 103 bytes", "sparse 8 EiB file: raw",
            "sparse 8 EiB file: qcow2", "sparse 8 EiB file: QED", "sparse 8 EiB file: add-cow", "sparse 8 EiB file: dirty bit",
            "sparse 8 EiB file: entries lead all over it", "size beyond the L1 table"]),
        ("2.21", ["overlap that shows while a copy is in flight", "copy into metadata that is counted as free"]),
        ("2.22", ["file cut", "file replaced by rename", "second writer", "backing file changed while it is in use", "backing file cut while it is in use"]),
        ("3", [
            "cluster size 5000", "cluster size 2^11", "cluster size 2^27", "table size 0", "table size 32", "header size 0", "header size 2^32-1", "L1 unaligned",
            "L1 past the end", "image size no multiple of 512", "image size beyond the tables", "unknown feature", "backing name past the header", "NEED_CHECK",
            "L2 table is the L1 table", "L2 entry leads to its own table", "offset 1 is a zero cluster", "backing name rewritten under an unknown compat feature"]),
        ("4", [
            "names equal", "names equal by a link", "image missing", "image shorter", "image growing while it is open", "bitmap truncated", "bits past the end",
            "HEADER_SIZE 0", "HEADER_SIZE 2^32-1", "image format qcow2", "ALL_ALLOCATED with unallocated clusters", "base replaced by other content of its size"]),
        ("5", [
            "base not in the chain, base is the image", "base replaced while a job runs", "two jobs on one range", "node names over 31 bytes",
            "names relative to a directory that moved", "delete of a file in use", "dispose while requests run", "dispose while a job runs",
            "base above the top, base is a sibling", "job id reuse", "speed negative, speed 2^63-1", "callback asks something of its job", "callback disposes the disk",
            "dispose during READY", "rename of a file while a job runs"]),
    ];

    [Fact]
    public void Everything_that_the_corpus_names_has_one_case()
    {
        ILookup<string, string> cases = Cases().ToLookup(static name => name);
        string[] listed = [.. s_lines.SelectMany(static line => line.Cases.Select(name => $"{line.Line} {name}"))];
        Assert.Equal(listed.Distinct(), listed);
        Assert.DoesNotContain(listed, name => cases[name].Count() != 1);
        Assert.Empty(cases.Where(static named => named.Count() > 1).Select(static named => named.Key));
    }

    [Fact]
    public void Every_case_belongs_to_a_line()
    {
        string[] lines = [.. s_lines.Select(static line => line.Line)];
        Assert.Equal(["1", .. Enumerable.Range(1, 22).Select(static number => $"2.{number}"), "3", "4", "5"], lines);
        Assert.DoesNotContain(Cases(), name => !lines.Contains(name.Split(' ')[0]));
    }

    [Fact]
    public void Attacks_without_a_case_are_those_on_servers_that_are_not_here()
        => Assert.True(
            !typeof(BlockNode).Assembly.GetTypes().Any(static type => type.Name.StartsWith("Nbd", StringComparison.Ordinal)),
            $"There is an NBD server or client now: {string.Join(", ", s_withoutServer)} need cases.");

    /// <summary>The names of all cases: rows of tables, and tests that are a case themselves.</summary>
    private static IEnumerable<string> Cases()
    {
        IEnumerable<TheoryDataRow<string>> rows = [.. Qcow2CorpusTests.Names(), .. Structures.HostileStructureTests.Names(), .. SparseGiantTests.Names()];
        return rows.Select(static row => row.Data).Concat(
            typeof(CorpusIndexTests).Assembly.GetTypes()
                .SelectMany(static type => type.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly))
                .SelectMany(static method => method.GetCustomAttributes<CorpusCaseAttribute>())
                .Select(static attribute => attribute.Name));
    }
}
