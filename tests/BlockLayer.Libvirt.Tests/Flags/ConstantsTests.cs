using Xunit;

namespace BlockLayer.Libvirt.Tests.Flags;

/// <summary>The numbers are the interface: programs that were written against libvirt's headers pass and expect them.</summary>
public class ConstantsTests
{
    // libvirt, include/libvirt/libvirt-domain.h and libvirt-domain-snapshot.h.
    private const string Documented = """
        BlockJobAbortFlags Async=1 Pivot=2
        BlockJobInfoFlags BandwidthBytes=1
        BlockJobSetSpeedFlags BandwidthBytes=1
        BlockPullFlags BandwidthBytes=64
        BlockRebaseFlags Shallow=1 ReuseExternal=2 CopyRaw=4 Copy=8 Relative=16 CopyDevice=32 BandwidthBytes=64
        BlockCopyFlags Shallow=1 ReuseExternal=2 TransientJob=4 SynchronousWrites=8
        BlockCommitFlags Shallow=1 Delete=2 Active=4 Relative=8 BandwidthBytes=16
        BlockStreamFlags Continuous=1
        StreamDiskFlags Start=1 Stop=2 One=4
        DomainXmlFlags Inactive=2
        SnapshotCreateFlags Redefine=1 Current=2 NoMetadata=4 Halt=8 DiskOnly=16 ReuseExternal=32 Quiesce=64 Atomic=128 Live=256
        SnapshotDeleteFlags Children=1 MetadataOnly=2 ChildrenOnly=4
        BlockJobType Unknown=0 Pull=1 Copy=2 Commit=3 ActiveCommit=4 Backup=5
        BlockPullStatus Completed=0 Failed=1
        BlockJobStatus Completed=0 Failed=1 Canceled=2 Ready=3
        DomainEventId BlockJob=8 DiskChange=9 BlockJob2=16 BlockThreshold=24
        DiskChangeReason MissingOnStart=0 DropMissingOnStart=1
        DomainState Running=1 ShutOff=5
        LibvirtErrorDomain None=0 Xml=5 Qemu=10 Storage=18 Domain=20 DomainSnapshot=35
        LibvirtErrorCode Ok=0 InternalError=1 NoSupport=3 InvalidConnection=6 InvalidDomain=7 InvalidArg=8 OperationFailed=9 XmlError=27 DomainExists=28 OperationDenied=29 XmlDetail=35 SystemError=38 NoDomain=42 OperationInvalid=55 ConfigUnsupported=67 InvalidDomainSnapshot=71 NoDomainSnapshot=72 ArgumentUnsupported=74 OperationAborted=78 Overflow=82 BlockCopyActive=83 OperationUnsupported=84 ResourceBusy=87 AccessDenied=88
        """;

    public static TheoryData<string, string> Table
    {
        get
        {
            var rows = new TheoryData<string, string>();
            foreach (string line in Documented.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            {
                string[] words = line.Split(' ', 2);
                rows.Add(words[0], words[1]);
            }

            return rows;
        }
    }

    [Theory]
    [MemberData(nameof(Table))]
    public void Constants_have_the_documented_numbers_and_there_are_no_others(string name, string documented)
    {
        Type type = typeof(Domain).Assembly.GetType($"BlockLayer.Libvirt.{name}", throwOnError: true)!;
        bool isFlags = type.IsDefined(typeof(FlagsAttribute), inherit: false);
        IEnumerable<string> found = Enum.GetValues(type).Cast<object>()
            .Where(value => !isFlags || Convert.ToInt32(value, provider: null) != 0)
            .Select(value => $"{value}={Convert.ToInt32(value, provider: null)}");
        Assert.Equal(documented, string.Join(' ', found));
        Assert.Equal(name.EndsWith("Flags", StringComparison.Ordinal), isFlags);
    }

    [Fact]
    public void Every_enumeration_with_libvirts_numbers_stands_in_the_table()
    {
        string[] ours = [nameof(ClientLong), nameof(ConnectionAccess), nameof(DiskDevice), nameof(StartupPolicy), nameof(MergeDirection), nameof(SnapshotLocation), nameof(DeletionStage)];
        IEnumerable<string> enumerations = typeof(Domain).Assembly.GetExportedTypes().Where(type => type.IsEnum).Select(type => type.Name);
        Assert.Equal(Table.Select(row => row.Data.Item1).Concat(ours).Order(StringComparer.Ordinal), enumerations.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Pull_flags_are_rebase_flags_and_copy_flags_begin_as_they_do()
    {
        Assert.Equal((int)BlockRebaseFlags.BandwidthBytes, (int)BlockPullFlags.BandwidthBytes);
        Assert.Equal((int)BlockRebaseFlags.Shallow, (int)BlockCopyFlags.Shallow);
        Assert.Equal((int)BlockRebaseFlags.ReuseExternal, (int)BlockCopyFlags.ReuseExternal);
    }
}
