using System.Threading.Tasks.Sources;
using BlockLayer.Primitives;

namespace BlockLayer.Storage;

/// <summary>
/// One request of a <see cref="LocalFile"/> that may block, on its way through <see cref="BlockingThreads"/>. The file keeps them for reuse, so that a
/// request allocates nothing once as many calls exist as are ever in flight together.
/// </summary>
/// <remarks>
/// Owned in turn by the file's pool, the caller that starts it, the thread that performs it, and whoever awaits it, whose GetResult gives it back. Nothing here
/// touches it after it was posted to the <see cref="ReadyList"/>: by then it may be on its next way.
/// </remarks>
internal sealed class LocalFileCall : ReadyItem, IThreadPoolWorkItem, IValueTaskSource<long>, IValueTaskSource
{
    /// <summary>The next one in the file's pool; used by the file only.</summary>
    internal LocalFileCall? NextFree;

    private readonly LocalFile _file;
    private ManualResetValueTaskSourceCore<long> _core;
    private LocalRequest _request;
    private CancellationToken _token;
    private Exception? _error;
    private long _result;

    internal LocalFileCall(LocalFile file) => _file = file;

    /// <summary>Sends the request on its way. The token is honoured until a thread takes it up.</summary>
    internal ValueTask<long> Start(in LocalRequest request, CancellationToken cancellationToken)
    {
        _request = request;
        _token = cancellationToken;
        var task = new ValueTask<long>(this, _core.Version);
        BlockingThreads.Queue(this);
        return task;
    }

    /// <summary>As <see cref="Start"/>, for requests without a result.</summary>
    internal ValueTask StartVoid(in LocalRequest request, CancellationToken cancellationToken)
    {
        short version = _core.Version;
        _ = Start(request, cancellationToken);
        return new ValueTask(this, version);
    }

    void IThreadPoolWorkItem.Execute()
    {
        try
        {
            _token.ThrowIfCancellationRequested();
            _result = _file.Perform(ref _request);
        }
#pragma warning disable CA1031 // Whatever it was, the caller is told: it is rethrown where the call is awaited.
        catch (Exception error)
#pragma warning restore CA1031
        {
            _error = error;
        }

        ReadyList.Post(this);
    }

    internal override void Run()
    {
        if (_error is { } error)
        {
            _core.SetException(error);
        }
        else
        {
            _core.SetResult(_result);
        }
    }

    /// <inheritdoc/>
    public long GetResult(short token)
    {
        // A token of an earlier way must not give the call back a second time.
        bool isMine = _core.GetStatus(token) != ValueTaskSourceStatus.Pending;
        try
        {
            return _core.GetResult(token);
        }
        finally
        {
            if (isMine)
            {
                _core.Reset();
                _request = default;
                _token = default;
                _error = null;
                _file.Recycle(this);
            }
        }
    }

    void IValueTaskSource.GetResult(short token) => GetResult(token);

    /// <inheritdoc/>
    public ValueTaskSourceStatus GetStatus(short token) => _core.GetStatus(token);

    /// <inheritdoc/>
    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        => _core.OnCompleted(continuation, state, token, flags);
}
