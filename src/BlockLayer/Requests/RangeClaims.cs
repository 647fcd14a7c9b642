using BlockLayer.Primitives;

namespace BlockLayer.Requests;

/// <summary>
/// Claims on byte ranges: shared ones overlap each other, an exclusive one overlaps nobody. A claim that cannot be granted waits its turn behind
/// earlier claims that it overlaps, so that neither kind starves.
/// </summary>
/// <remarks>Linear in the number of claims in flight: made for read-modify-write and the like, where those are few.</remarks>
internal sealed class RangeClaims
{
    private readonly Lock _gate = new();
    private readonly LinkedList<Claim> _claims = new(); // guarded by _gate; in order of arrival, granted and waiting alike

    /// <summary>Waits for the range. Dispose the claim to let it go.</summary>
    /// <exception cref="OperationCanceledException">The token fired before the claim was granted.</exception>
    internal async ValueTask<Claim> EnterAsync(ByteRange range, ClaimMode mode, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        Claim claim;
        lock (_gate)
        {
            claim = new Claim(this, range, mode);
            claim.Node = _claims.AddLast(claim);
            if (IsFree(claim))
            {
                claim.Granted = true;
                return claim;
            }

            claim.Waiter = new Waiter<bool>();
        }

        ValueTask<bool> granted = claim.Waiter.Task;
        claim.Waiter.ArmCancellation(cancellationToken);
        try
        {
            await granted.ConfigureAwait(false);
        }
        catch
        {
            Leave(claim);
            throw;
        }

        return claim;
    }

    private void Leave(Claim claim)
    {
        List<Waiter<bool>>? woken = null;
        lock (_gate)
        {
            if (claim.Node is null)
            {
                return;
            }

            LinkedListNode<Claim>? next = claim.Node.Next;
            _claims.Remove(claim.Node);
            claim.Node = null;
            for (; next is not null; next = next.Next)
            {
                Claim later = next.Value;
                if (!later.Granted && later.Range.Overlaps(claim.Range) && IsFree(later) && later.Waiter!.TryGrant(true))
                {
                    later.Granted = true;
                    (woken ??= []).Add(later.Waiter);
                }
            }
        }

        if (woken is null)
        {
            return;
        }

        using ReadyList.Scope scope = ReadyList.Enter();
        foreach (Waiter<bool> waiter in woken)
        {
            ReadyList.Post(waiter);
        }
    }

    private static bool IsFree(Claim claim)
    {
        for (LinkedListNode<Claim>? earlier = claim.Node!.Previous; earlier is not null; earlier = earlier.Previous)
        {
            Claim other = earlier.Value;
            bool gone = other.Waiter is { IsCancelled: true };
            if (!gone && other.Range.Overlaps(claim.Range) && (claim.Mode == ClaimMode.Exclusive || other.Mode == ClaimMode.Exclusive))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>A granted range.</summary>
    internal sealed class Claim : IDisposable
    {
        private readonly RangeClaims _owner;

        internal Claim(RangeClaims owner, ByteRange range, ClaimMode mode)
        {
            _owner = owner;
            Range = range;
            Mode = mode;
        }

        internal ByteRange Range { get; }

        internal ClaimMode Mode { get; }

        internal LinkedListNode<Claim>? Node { get; set; }

        internal Waiter<bool>? Waiter { get; set; }

        internal bool Granted { get; set; }

        /// <summary>Lets the range go; later calls do nothing.</summary>
        public void Dispose() => _owner.Leave(this);
    }
}
