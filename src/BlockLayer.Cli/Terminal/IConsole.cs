namespace BlockLayer.Cli.Terminal;

/// <summary>Where a command writes, and how it learns that it should stop.</summary>
internal interface IConsole
{
    /// <summary>Results.</summary>
    TextWriter Out { get; }

    /// <summary>Sends what is still buffered of <see cref="Out"/>.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    void Flush();

    /// <summary>Errors and progress.</summary>
    TextWriter Error { get; }

    /// <summary>True when somebody watches <see cref="Error"/>.</summary>
    bool IsErrorTerminal { get; }

    /// <summary>Columns of the terminal that shows <see cref="Error"/>; asked anew each time, because windows change.</summary>
    int Columns { get; }

    /// <summary>Fires on Ctrl-C and on a request to terminate.</summary>
    CancellationToken Interrupted { get; }
}
