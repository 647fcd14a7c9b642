using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Filters;

/// <summary>Every combination of a mirror's options, with each side failing each request: what the guest is told, and what becomes of the mirror.</summary>
public class MirrorOptionTests
{
    private const int Region = MirrorFixture.Region;

    public static TheoryData<MirrorReads, MirrorAck, MirrorFlush, MirrorErrorPolicy> Combinations
    {
        get
        {
            var all = new TheoryData<MirrorReads, MirrorAck, MirrorFlush, MirrorErrorPolicy>();
            foreach (MirrorReads reads in Enum.GetValues<MirrorReads>())
            {
                foreach (MirrorAck ack in Enum.GetValues<MirrorAck>())
                {
                    foreach (MirrorFlush flush in Enum.GetValues<MirrorFlush>())
                    {
                        foreach (MirrorErrorPolicy policy in Enum.GetValues<MirrorErrorPolicy>())
                        {
                            all.Add(reads, ack, flush, policy);
                        }
                    }
                }
            }

            return all;
        }
    }

    [Theory]
    [MemberData(nameof(Combinations))]
    public async Task A_destination_that_fails_a_write(MirrorReads reads, MirrorAck ack, MirrorFlush flush, MirrorErrorPolicy policy)
    {
        var sides = new MirrorFixture();
        MirrorNode mirror = await sides.OpenAsync(Of(reads, ack, flush, policy));
        await mirror.WriteAsync(0, Pattern.Of(0, Region, 1));
        Fail(sides.DestinationSteps, OverlayStep.Write);

        bool told = policy != MirrorErrorPolicy.Detach;
        await AssertToldAsync(told && ack == MirrorAck.Both, () => mirror.WriteAsync(100, Pattern.Of(100, 512, 2)));
        sides.DestinationSteps.FailNothing();
        Assert.Equal(StateAfter(policy), mirror.Status.State);
        Assert.Equal(Region, mirror.Status.DifferingBytes);
        Assert.Equal("Planned at Write of destination.", mirror.Status.DestinationError!.Message);

        bool stopped = policy == MirrorErrorPolicy.Stop;
        await AssertToldAsync(stopped || (told && ack == MirrorAck.Source), () => mirror.FlushAsync());
        await AssertToldAsync(stopped, () => mirror.FlushAsync());
        await AssertToldAsync(stopped, () => mirror.WriteAsync(Region, Pattern.Of(Region, 512, 3)));
        await AssertToldAsync(stopped, () => mirror.WriteZeroesAsync(0, 10));

        // Reads go on, and none of them shows what only one side holds.
        byte[] found = new byte[512];
        await mirror.ReadAsync(100, found);
        await mirror.ReadAsync(100, new byte[512]);
        Assert.Equal((await MirrorFixture.ReadAllAsync(sides.Source))[100..612], found);

        if (!stopped)
        {
            await mirror.RepairAsync();
            Assert.Equal((MirrorState.Mirroring, 0L, null), (mirror.Status.State, mirror.Status.DifferingBytes, mirror.Status.DestinationError));
            Assert.True(await sides.SidesAreEqualAsync());
        }

        await mirror.DisposeAsync();
        await (await sides.OpenAsync(Of(reads, ack, flush, policy))).DisposeAsync();
        Assert.True(await sides.SidesAreEqualAsync());
    }

    [Theory]
    [MemberData(nameof(Combinations))]
    public async Task A_destination_that_fails_a_flush(MirrorReads reads, MirrorAck ack, MirrorFlush flush, MirrorErrorPolicy policy)
    {
        var sides = new MirrorFixture();
        await using MirrorNode mirror = await sides.OpenAsync(Of(reads, ack, flush, policy));
        await mirror.WriteAsync(0, Pattern.Of(0, 512, 1));
        Fail(sides.DestinationSteps, OverlayStep.Flush);
        bool met = flush == MirrorFlush.Both;
        await AssertToldAsync(met && policy != MirrorErrorPolicy.Detach, () => mirror.FlushAsync());
        sides.DestinationSteps.FailNothing();
        Assert.Equal(met ? StateAfter(policy) : MirrorState.Mirroring, mirror.Status.State);
        Assert.Equal(met ? Region : 0, mirror.Status.DifferingBytes);
        await AssertToldAsync(met && policy == MirrorErrorPolicy.Stop, () => mirror.WriteAsync(0, new byte[512], WriteFlags.Fua));
    }

    [Theory]
    [MemberData(nameof(Combinations))]
    public async Task A_destination_that_fails_a_read(MirrorReads reads, MirrorAck ack, MirrorFlush flush, MirrorErrorPolicy policy)
    {
        var sides = new MirrorFixture();
        await using MirrorNode mirror = await sides.OpenAsync(Of(reads, ack, flush, policy));
        await mirror.WriteAsync(0, Pattern.Of(0, 512, 1));
        Fail(sides.DestinationSteps, OverlayStep.Read);
        byte[] found = new byte[512];
        bool met = reads != MirrorReads.Source;
        bool told = met && policy != MirrorErrorPolicy.Detach;
        await AssertToldAsync(told, () => mirror.ReadAsync(0, found));
        if (!told)
        {
            Assert.Equal(Pattern.Of(0, 512, 1), found);
        }

        Assert.Equal(met ? StateAfter(policy) : MirrorState.Mirroring, mirror.Status.State);
        sides.DestinationSteps.FailNothing();
        await mirror.ReadAsync(0, found);
        Assert.Equal(Pattern.Of(0, 512, 1), found);
    }

    [Theory]
    [MemberData(nameof(Combinations))]
    public async Task A_source_that_fails(MirrorReads reads, MirrorAck ack, MirrorFlush flush, MirrorErrorPolicy policy)
    {
        var sides = new MirrorFixture();
        await using MirrorNode mirror = await sides.OpenAsync(Of(reads, ack, flush, policy));
        await mirror.WriteAsync(0, Pattern.Of(0, Region, 1));
        Fail(sides.SourceSteps, OverlayStep.Write);
        await AssertToldAsync(true, () => mirror.WriteAsync(0, Pattern.Of(0, 512, 2)));
        sides.SourceSteps.FailNothing();
        Assert.Equal((MirrorState.Mirroring, (long)Region), (mirror.Status.State, mirror.Status.DifferingBytes));
        byte[] found = new byte[512];
        await mirror.ReadAsync(0, found);
        Assert.Equal(Pattern.Of(0, 512, 1), found); // the source's, whichever side is read

        Fail(sides.SourceSteps, OverlayStep.Flush);
        await AssertToldAsync(true, () => mirror.FlushAsync());
        sides.SourceSteps.FailNothing();
        await mirror.FlushAsync();
        await mirror.RepairAsync();
        Assert.True(await sides.SidesAreEqualAsync());
    }

    private static MirrorOptions Of(MirrorReads reads, MirrorAck ack, MirrorFlush flush, MirrorErrorPolicy policy)
        => new() { Reads = reads, Ack = ack, Flush = flush, OnDestinationError = policy };

    private static MirrorState StateAfter(MirrorErrorPolicy policy) => policy switch
    {
        MirrorErrorPolicy.Detach => MirrorState.Detached,
        MirrorErrorPolicy.Stop => MirrorState.Stopped,
        _ => MirrorState.Mirroring,
    };

    private static void Fail(HeldSteps steps, OverlayStep failing)
        => steps.FailWhen((step, _) => step == failing ? BlockErrorKind.Io : null);

    private static async Task AssertToldAsync(bool told, Func<ValueTask> request)
    {
        if (told)
        {
            BlockLayerException error = await Assert.ThrowsAsync<BlockLayerException>(async () => await request());
            Assert.Equal(BlockErrorKind.Io, error.Kind);
            Assert.Contains("Planned at", error.Message, StringComparison.Ordinal);
        }
        else
        {
            await request();
        }
    }
}
