using System.Security.Cryptography;
using BlockLayer.Cli.CommandLine;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Cli.Commands;

/// <summary>
/// The passphrases of one command line: <c>--passphrase-file FILE</c> for every encrypted image, <c>IMAGE=FILE</c> for one. In files, because whoever can list the
/// processes of a machine reads command lines.
/// </summary>
internal sealed class PassphraseFiles : IDisposable
{
    private const int MaxLength = 64 * 1024;

    private readonly List<Passphrase> _passphrases = [];

    private PassphraseFiles(ImageSecrets secrets) => Secrets = secrets;

    /// <summary>Which opens which image.</summary>
    internal ImageSecrets Secrets { get; private set; }

    /// <summary>Reads the files.</summary>
    /// <exception cref="UsageException">A file is empty or too long to be one, or two are for every image.</exception>
    internal static async ValueTask<PassphraseFiles> ReadAsync(BlockEnvironment environment, IEnumerable<string> values)
    {
        var files = new PassphraseFiles(new ImageSecrets());
        try
        {
            Passphrase? everyImage = null;
            List<(string Image, Passphrase Passphrase)> byImage = [];
            foreach (string value in values)
            {
                int equals = value.IndexOf('=', StringComparison.Ordinal);
                Passphrase passphrase = await ReadOneAsync(environment, value[(equals + 1)..]).ConfigureAwait(false);
                files._passphrases.Add(passphrase);
                if (equals > 0)
                {
                    byImage.Add((value[..equals], passphrase));
                }
                else if (everyImage is null)
                {
                    everyImage = passphrase;
                }
                else
                {
                    throw new UsageException("--passphrase-file is given twice for every image; write IMAGE=FILE for the images that have others.");
                }
            }

            files.Secrets = byImage.Aggregate(new ImageSecrets(everyImage), static (secrets, one) => secrets.Add(one.Image, one.Passphrase));
            return files;
        }
        catch
        {
            files.Dispose();
            throw;
        }
    }

    /// <summary>Overwrites the passphrases.</summary>
    public void Dispose() => _passphrases.ForEach(static passphrase => passphrase.Dispose());

    private static async ValueTask<Passphrase> ReadOneAsync(BlockEnvironment environment, string path)
    {
        BlockStorage file = await environment.Files.OpenAsync(path, new StorageOpenOptions(), CancellationToken.None).ConfigureAwait(false);
        await using (file.ConfigureAwait(false))
        {
            if (file.Length is 0 or > MaxLength)
            {
                throw new UsageException($"The passphrase file '{path}' has {file.Length} bytes; it can have 1 to {MaxLength}, all of which are the passphrase.");
            }

            byte[] content = GC.AllocateUninitializedArray<byte>((int)file.Length, pinned: true);
            try
            {
                await file.ReadAsync(0, content, CancellationToken.None).ConfigureAwait(false);
                return new Passphrase(content);
            }
            finally
            {
                CryptographicOperations.ZeroMemory(content);
            }
        }
    }
}
