from ssiqa.cli import main

main()
