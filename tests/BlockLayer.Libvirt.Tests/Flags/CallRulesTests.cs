using Xunit;

namespace BlockLayer.Libvirt.Tests.Flags;

/// <summary>Every combination of flags of every call, one bit beyond them included, against what libvirt's documentation says of the call.</summary>
public class CallRulesTests
{
    private const LibvirtErrorCode Fine = LibvirtErrorCode.Ok;
    private const LibvirtErrorCode Invalid = LibvirtErrorCode.InvalidArg;

    [Fact]
    public void BlockRebase_takes_the_documented_combinations()
    {
        const int Shallow = 1, ReuseExternal = 2, CopyRaw = 4, Copy = 8, Relative = 16, CopyDevice = 32;
        int accepted = 0;
        for (int flags = 0; flags < 512; flags++)
        {
            foreach (string? @base in new[] { null, "/vm/base.img" })
            {
                bool has(int flag) => (flags & flag) != 0;
                LibvirtErrorCode expected = Fine;
                if (flags >= 128)
                {
                    expected = Invalid; // no such flag
                }
                else if (!has(Copy))
                {
                    bool needsCopy = has(Shallow) || has(ReuseExternal) || has(CopyRaw) || has(CopyDevice);
                    expected = needsCopy || (has(Relative) && @base is null) ? Invalid : Fine;
                }
                else if (@base is null)
                {
                    expected = Invalid;
                }
                else if (has(Relative))
                {
                    expected = LibvirtErrorCode.ArgumentUnsupported;
                }

                Check(expected, () => CallRules.Check((BlockRebaseFlags)flags, @base), $"BlockRebase 0x{flags:x} base={@base}");
                accepted += expected == Fine ? 1 : 0;
            }
        }

        Assert.Equal(2 + 2 + 1 + 1 + 32, accepted); // nothing, BYTES; with a base also RELATIVE, with and without BYTES; COPY with any of the other five but RELATIVE
    }

    [Fact]
    public void BlockPull_takes_bandwidth_in_bytes_alone() => CheckAll(256, known: 64, flags => CallRules.Check((BlockPullFlags)flags), "BlockPull");

    [Fact]
    public void BlockCommit_takes_any_of_its_flags() => CheckAll(64, known: 31, flags => CallRules.Check((BlockCommitFlags)flags), "BlockCommit");

    [Fact]
    public void BlockCopy_takes_any_of_its_flags_and_needs_a_destination()
    {
        CheckAll(32, known: 15, flags => CallRules.Check((BlockCopyFlags)flags, "<disk/>"), "BlockCopy");
        CheckAll(32, known: -1, flags => Check(Invalid, () => CallRules.Check((BlockCopyFlags)flags, destinationXml: null), "without destxml"), "BlockCopy");
    }

    [Fact]
    public void BlockJobAbort_takes_any_of_its_flags() => CheckAll(8, known: 3, flags => CallRules.Check((BlockJobAbortFlags)flags), "BlockJobAbort");

    [Fact]
    public void GetBlockJobInfo_takes_its_flag() => CheckAll(4, known: 1, flags => CallRules.Check((BlockJobInfoFlags)flags), "GetBlockJobInfo");

    [Fact]
    public void BlockJobSetSpeed_takes_its_flag() => CheckAll(4, known: 1, flags => CallRules.Check((BlockJobSetSpeedFlags)flags), "BlockJobSetSpeed");

    [Fact]
    public void Calls_without_flags_take_none() => CheckAll(4, known: 0, flags => CallRules.CheckNoFlags("BlockPullAbort", flags), "BlockPullAbort");

    [Fact]
    public void StreamDisk_takes_exactly_one_of_its_flags()
    {
        for (int flags = 0; flags < 16; flags++)
        {
            Check(flags is 1 or 2 or 4 ? Fine : Invalid, () => CallRules.Check((StreamDiskFlags)flags), $"StreamDisk 0x{flags:x}");
        }
    }

    [Fact]
    public void BlockStream_goes_without_a_cursor_only_when_continuous()
    {
        foreach (bool hasCursor in new[] { false, true })
        {
            for (int flags = 0; flags < 4; flags++)
            {
                LibvirtErrorCode expected = flags == 1 || (flags == 0 && hasCursor) ? Fine : Invalid;
                Check(expected, () => CallRules.Check((BlockStreamFlags)flags, hasCursor), $"BlockStream 0x{flags:x} cursor={hasCursor}");
            }
        }
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    public void A_call_without_a_disk_is_refused(string? disk) => Check(Invalid, () => CallRules.RequireDisk(disk), "no disk");

    [Fact]
    public void Committing_the_active_image_and_only_that_asks_for_ACTIVE()
    {
        for (int flags = 0; flags < 32; flags++)
        {
            for (int index = 0; index < 3; index++)
            {
                bool isActive = (flags & 4) != 0;
                var top = new ChainElement(index, Node: null!, new DiskSource(IsBlockDevice: false, "/vm/x"), RecordedName: null);
                LibvirtErrorCode expected = isActive == (index == 0) ? Fine : Invalid;
                Check(expected, () => CallRules.CheckCommitTop((BlockCommitFlags)flags, top), $"BlockCommit 0x{flags:x} top=vda[{index}]");
            }
        }
    }

    [Fact]
    public void Pivoting_needs_a_ready_copy_or_active_commit_and_ending_needs_a_job()
    {
        BlockJobType?[] jobs = [null, .. Enum.GetValues<BlockJobType>().Cast<BlockJobType?>()];
        foreach (BlockJobType? job in jobs)
        {
            for (int flags = 0; flags < 4; flags++)
            {
                foreach (bool isReady in new[] { false, true })
                {
                    bool pivots = (flags & 2) != 0;
                    bool canPivot = job is BlockJobType.Copy or BlockJobType.ActiveCommit;
                    LibvirtErrorCode expected = job is null ? Invalid
                        : pivots && !canPivot ? LibvirtErrorCode.OperationInvalid
                        : pivots && !isReady ? LibvirtErrorCode.BlockCopyActive
                        : Fine;
                    Check(expected, () => CallRules.CheckAbort((BlockJobAbortFlags)flags, "vda", job, isReady), $"BlockJobAbort 0x{flags:x} {job} ready={isReady}");
                }
            }
        }
    }

    [Fact]
    public void A_position_is_refused_from_where_it_would_be_negative()
    {
        CallRules.CheckCursor("offset", long.MaxValue);
        var error = Assert.Throws<LibvirtException>(() => CallRules.CheckCursor("offset", long.MaxValue + 1UL));
        Assert.Equal((Invalid, "offset is 9223372036854775808; allowed are positions in the disk."), (error.Code, error.Message));
    }

    [Fact]
    public void A_refusal_spells_flags_as_libvirt_does()
    {
        var error = Assert.Throws<LibvirtException>(() => CallRules.Check(BlockRebaseFlags.ReuseExternal | BlockRebaseFlags.CopyDevice, "/x"));
        Assert.Equal("REUSE_EXT, COPY_DEV is for copies: COPY is missing.", error.Message);
        error = Assert.Throws<LibvirtException>(() => CallRules.Check((BlockCommitFlags)(1 << 9 | 4)));
        Assert.Equal("BlockCommit has no flag 0x200.", error.Message);
        error = Assert.Throws<LibvirtException>(() => CallRules.CheckAbort(BlockJobAbortFlags.Pivot, "vda", BlockJobType.Pull, isReady: true));
        Assert.Equal("PIVOT is for a copy or an active commit, and what runs on the disk 'vda' is a pull.", error.Message);
    }

    // A known mask of -1 leaves the judgement to the call itself.
    private static void CheckAll(int end, int known, Action<int> call, string name)
    {
        for (int flags = 0; flags < end; flags++)
        {
            int given = flags;
            Check((given & ~known) == 0 ? Fine : Invalid, () => call(given), $"{name} 0x{given:x}");
        }
    }

    private static void Check(LibvirtErrorCode expected, Action call, string what)
    {
        LibvirtErrorCode found = Record.Exception(call) switch
        {
            null => Fine,
            LibvirtException error => error.Code,
            { } other => throw other,
        };
        Assert.True(expected == found, $"{what}: expected is {expected}, found is {found}");
    }
}
