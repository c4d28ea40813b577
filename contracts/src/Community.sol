// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @notice Only an operator of the community may do this.
error NotAnOperator(address caller);
/// @notice A signed record was used already, or another one comes first.
error WrongNonce(uint64 nonce, uint64 expected);

/// @title Who belongs to a community
/// @notice Keeps the operators, the members with their roles, and the meters of the members. Members are numbered
/// 0, 1, 2, ... in the order of registration; the number is a member's place in every packed list of balances.
contract Community {
    /// @notice What a member is to the community. `None` is no role: it marks a missing value.
    enum Role {
        None,
        Consumer,
        Prosumer,
        Storage,
        Operator,
        GridCompany,
        Regulator
    }

    struct Member {
        address account;
        Role role;
        /// Unix seconds.
        uint40 registeredAt;
    }

    struct Meter {
        /// Member index plus one; zero = never registered.
        uint32 number;
        bool inService;
    }

    /// @notice How many operators must sign what concerns everybody's money.
    uint8 public immutable threshold;

    /// @notice Hash of the community's canonical configuration file.
    bytes32 public immutable config;

    /// @notice Whether an address is an operator.
    mapping(address account => bool) public isOperator;

    Member[] private _members;
    /// @dev Member index plus one; zero = never registered. An account names one member for ever.
    mapping(address account => uint256) private _numberOfAccount;
    mapping(address meter => Meter) private _meters;

    event OperatorAppointed(address indexed operator);
    event MemberRegistered(uint32 indexed member, address indexed account, Role role);
    event MeterRegistered(uint32 indexed member, address indexed meter);
    event MeterRevoked(uint32 indexed member, address indexed meter);

    /// @notice The threshold must lie between 1 and the number of operators.
    error InvalidThreshold(uint8 threshold, uint256 operators);
    /// @notice The zero address, or an address given twice, cannot be an operator.
    error InvalidOperator(address operator);
    /// @notice Lists that belong together have different lengths.
    error LengthMismatch(uint256 first, uint256 second);
    /// @notice The zero address cannot be a member's account, and an account is registered once.
    error InvalidAccount(address account);
    /// @notice The zero address cannot be a meter, and a meter belongs to one member, for ever.
    error InvalidMeter(address meter);
    /// @notice A member needs a role.
    error MissingRole(address account);
    /// @notice No member has this account.
    error NotAMember(address account);
    /// @notice No member has this number.
    error UnknownMember(uint32 member);
    /// @notice No member has this meter.
    error UnknownMeter(address meter);
    /// @notice Fewer signatures than the threshold.
    error TooFewSignatures(uint256 given, uint256 needed);
    /// @notice Signatures must ascend strictly by signer, so that nobody counts twice.
    error SignersNotAscending(address previous, address signer);
    /// @notice Somebody else's signature, or one over different content.
    error SignerNotAnOperator(address signer);

    modifier onlyOperator() {
        require(isOperator[msg.sender], NotAnOperator(msg.sender));
        _;
    }

    /// @param operators accounts of the operators, each once
    /// @param threshold_ how many of them must sign a post
    /// @param config_ hash of the canonical configuration file
    constructor(address[] memory operators, uint8 threshold_, bytes32 config_) {
        require(threshold_ != 0 && threshold_ <= operators.length, InvalidThreshold(threshold_, operators.length));
        for (uint256 i = 0; i < operators.length; ++i) {
            address operator = operators[i];
            require(operator != address(0) && !isOperator[operator], InvalidOperator(operator));
            isOperator[operator] = true;
            emit OperatorAppointed(operator);
        }
        threshold = threshold_;
        config = config_;
    }

    /// @notice Registers members; the first gets the number `memberCount()`.
    /// @param accounts the members' accounts, which pay in and withdraw
    /// @param meters a meter of each member; the zero address = none yet
    /// @param roles the members' roles
    function register(address[] calldata accounts, address[] calldata meters, Role[] calldata roles)
        external
        onlyOperator
    {
        require(meters.length == accounts.length, LengthMismatch(accounts.length, meters.length));
        require(roles.length == accounts.length, LengthMismatch(accounts.length, roles.length));
        for (uint256 i = 0; i < accounts.length; ++i) {
            uint32 member = _addMember(accounts[i], roles[i]);
            if (meters[i] != address(0)) _addMeter(member, meters[i]);
        }
    }

    /// @notice Gives a member one more meter.
    function registerMeter(uint32 member, address meter) external onlyOperator {
        require(member < _members.length, UnknownMember(member));
        require(meter != address(0), InvalidMeter(meter));
        _addMeter(member, meter);
    }

    /// @notice Takes a meter out of service. It may be registered again to the same member only, so that its readings
    /// never fit two members.
    function revokeMeter(address meter) external onlyOperator {
        uint32 member = memberOfMeter(meter);
        _meters[meter].inService = false;
        emit MeterRevoked(member, meter);
    }

    /// @notice Number of members; the last one has the number `memberCount() - 1`.
    function memberCount() external view returns (uint256) {
        return _members.length;
    }

    /// @notice Account of a member.
    function accountOf(uint32 member) external view returns (address) {
        require(member < _members.length, UnknownMember(member));
        return _members[member].account;
    }

    /// @notice Role of a member.
    function roleOf(uint32 member) external view returns (Role) {
        require(member < _members.length, UnknownMember(member));
        return _members[member].role;
    }

    /// @notice When a member was registered, in unix seconds.
    function registeredAt(uint32 member) external view returns (uint40) {
        require(member < _members.length, UnknownMember(member));
        return _members[member].registeredAt;
    }

    /// @notice Number of the member with this account.
    function memberOf(address account) public view returns (uint32 member) {
        member = everMemberOf(account);
        require(_members[member].account == account, NotAMember(account));
    }

    /// @notice Number of the member that has this account now or had it before it lost the key: for what was signed
    /// earlier.
    function everMemberOf(address account) public view returns (uint32) {
        uint256 number = _numberOfAccount[account];
        require(number != 0, NotAMember(account));
        return uint32(number - 1);
    }

    /// @notice Number of the member with this meter in service.
    function memberOfMeter(address meter) public view returns (uint32) {
        require(_meters[meter].inService, UnknownMeter(meter));
        return _meters[meter].number - 1;
    }

    /// @notice Number of the member whose meter this is or was before it was taken out of service.
    function everMemberOfMeter(address meter) public view returns (uint32) {
        uint32 number = _meters[meter].number;
        require(number != 0, UnknownMeter(meter));
        return number - 1;
    }

    /// @notice Reverts unless at least `threshold` different operators signed the digest.
    /// @param digest what was signed (EIP-712)
    /// @param signatures 65 bytes each (r, s, v), ascending by the signers' addresses; all of them must be valid
    function requireQuorum(bytes32 digest, bytes[] calldata signatures) external view {
        require(signatures.length >= threshold, TooFewSignatures(signatures.length, threshold));
        address previous = address(0);
        for (uint256 i = 0; i < signatures.length; ++i) {
            address signer = ECDSA.recoverCalldata(digest, signatures[i]);
            require(signer > previous, SignersNotAscending(previous, signer));
            require(isOperator[signer], SignerNotAnOperator(signer));
            previous = signer;
        }
    }

    function _addMember(address account, Role role) private returns (uint32 member) {
        require(account != address(0) && _numberOfAccount[account] == 0, InvalidAccount(account));
        require(role != Role.None, MissingRole(account));
        member = uint32(_members.length);
        _members.push(Member(account, role, uint40(block.timestamp)));
        _numberOfAccount[account] = _members.length;
        emit MemberRegistered(member, account, role);
    }

    function _addMeter(uint32 member, address meter) private {
        Meter memory known = _meters[meter];
        require(!known.inService && (known.number == 0 || known.number == member + 1), InvalidMeter(meter));
        _meters[meter] = Meter(member + 1, true);
        emit MeterRegistered(member, meter);
    }
}
