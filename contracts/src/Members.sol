// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {NotAnOperator, Operators, WrongNonce} from "./Operators.sol";
import {ACCEPTANCE_TYPEHASH, Acceptance, RECOVERY_TYPEHASH, Recovery, STANDING_TYPEHASH, Standing} from "./Records.sol";

/// @title The members of a community and their meters
/// @notice Members are numbered 0, 1, 2, ... in the order of registration; the number is a member's place in every
/// packed list of balances, so nobody is ever taken out of the list. A member that left or was suspended keeps its
/// number, its balance and the right to withdraw: slots in which it took part settle as if it were there.
abstract contract Members is Operators {
    /// @notice What a member is to the community. `None` is no role: it marks a missing value.
    enum Role {
        None,
        Consumer,
        Prosumer,
        Storage,
        Operator,
        GridCompany,
        Regulator,
        ServiceProvider
    }

    struct Member {
        address account;
        Role role;
        /// Unix seconds.
        uint40 registeredAt;
        bool inactive;
        /// Whether it ever had a meter.
        bool metered;
        /// How many signed records about the member were used.
        uint32 records;
    }

    /// @dev A meter serves once, from the moment when its member took it into service to the one when it was taken out.
    struct Meter {
        /// Member index plus one; zero = never proposed.
        uint32 number;
        /// Unix seconds; zero = proposed, not in service yet.
        uint40 from;
        /// Unix seconds; zero = in service.
        uint40 until;
        /// Unix seconds from which it measures a device instead of the home; zero = it does not.
        uint40 deviceFrom;
    }

    struct Replacement {
        address account;
        /// Unix seconds from which the account can be replaced.
        uint40 from;
    }

    /// @notice The account that is to replace a member's, and from when; zero = none.
    mapping(uint32 member => Replacement) public replacements;

    /// @notice Number of members; the last one has the number `memberCount - 1`.
    uint32 public memberCount;

    /// @dev No array: its length would be read with each member.
    mapping(uint256 number => Member) internal _members;
    /// @dev How many members of a role are active.
    mapping(Role => uint256) internal _active;
    /// @dev Member index plus one; zero = never registered. An account names one member for ever.
    mapping(address account => uint256) private _numberOfAccount;
    /// @dev Member index plus one of the member whose account this is to become.
    mapping(address account => uint256) private _reservedFor;
    /// @dev Unix seconds at which an account was replaced; zero = it was not.
    mapping(address account => uint40) private _replacedAt;
    mapping(address meter => Meter) private _meters;

    event MemberRegistered(uint32 indexed member, address indexed account, Role role);
    event MeterProposed(uint32 indexed member, address indexed meter);
    event MeterRegistered(uint32 indexed member, address indexed meter);
    event MeterRevoked(uint32 indexed member, address indexed meter);
    event StandingChanged(uint32 indexed member, bool active);
    event RecoveryStarted(uint32 indexed member, address indexed account, uint40 from);
    event RecoveryRefused(uint32 indexed member, address indexed account);
    event AccountReplaced(uint32 indexed member, address indexed former, address indexed account);

    /// @notice Lists that belong together have different lengths.
    error LengthMismatch(uint256 first, uint256 second);
    /// @notice The zero address cannot be a member's account, and an account is one member's, once and for all, from the
    /// moment when it was registered or asked for in a recovery.
    error InvalidAccount(address account);
    /// @notice The zero address cannot be a meter, and a meter serves one member, once.
    error InvalidMeter(address meter);
    /// @notice A member needs a role.
    error MissingRole(address account);
    /// @notice No member has this account.
    error NotAMember(address account);
    /// @notice No member has this number.
    error UnknownMember(uint32 member);
    /// @notice No member has this meter in service, or had it then.
    error UnknownMeter(address meter);
    /// @notice A member is suspended (0) or active (1), and is not yet what it shall be.
    error InvalidStanding(uint32 member, uint8 active);
    /// @notice The member left or is suspended.
    error NotActive(uint32 member);
    /// @notice Nobody asked to replace the member's account.
    error NoReplacement(uint32 member);
    /// @notice The account can be replaced only from this time on (unix seconds).
    error TooEarly(uint32 member, uint40 from);

    /// @dev Operators, and members whose service this is.
    modifier onlyProvider() {
        require(isOperator[msg.sender] || _isProvider(msg.sender), NotAnOperator(msg.sender));
        _;
    }

    modifier known(uint32 member) {
        require(member < memberCount, UnknownMember(member));
        _;
    }

    // ----------------------------------------------------------------------------------------- registration, standing

    /// @notice Registers members; the first gets the number `memberCount`.
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

    /// @notice Gives a member its first meter, or proposes one more, which the member takes into service. A later proposal
    /// takes the place of one that was not accepted.
    function registerMeter(uint32 member, address meter) external onlyProvider known(member) {
        if (!_members[member].metered) return _addMeter(member, meter);
        _requireUnused(meter);
        _meters[meter].number = member + 1;
        emit MeterProposed(member, meter);
    }

    /// @notice The calling member takes a meter that was proposed to it into service.
    function acceptMeter(address meter) external {
        _takeIntoService(memberOf(msg.sender), meter);
    }

    /// @notice Takes a meter into service, as its member signed. Anybody may bring it.
    /// @param signature of the member's account; 65 bytes (r, s, v)
    function acceptMeterBySignature(Acceptance calldata acceptance, bytes calldata signature) external {
        bytes32 structHash = keccak256(abi.encode(ACCEPTANCE_TYPEHASH, acceptance));
        _requireSigned(acceptance.member, structHash, signature);
        _takeIntoService(acceptance.member, acceptance.meter);
    }

    /// @notice Takes a meter out of service, for good: slots that began before count on it, later ones do not.
    function revokeMeter(address meter) external onlyOperator {
        uint32 member = memberOfMeter(meter);
        _meters[meter].until = uint40(block.timestamp);
        emit MeterRevoked(member, meter);
        _meterRevoked(meter);
    }

    /// @notice The calling member leaves. It can still withdraw.
    function resign() external {
        _setActive(memberOf(msg.sender), 0);
    }

    /// @notice Suspends a member or lets it take part again, as a quorum of operators signed. Anybody may bring it.
    /// @param standing the member, 0 = suspended or 1 = active, and the number of records used for it as the nonce
    /// @param signatures of at least `threshold` operators over the record, ascending by signer
    function setStanding(Standing calldata standing, bytes[] calldata signatures) external {
        _useNonce(standing.member, standing.nonce);
        requireQuorum(_hashTypedDataV4(keccak256(abi.encode(STANDING_TYPEHASH, standing))), signatures);
        _setActive(standing.member, standing.active);
    }

    // ------------------------------------------------------------------------------------------------------ lost keys

    /// @notice A quorum of operators asks to give a member that lost its key another account. A second request takes
    /// the place of the first.
    /// @param request the member, its new account, and the number of records used for it as the nonce
    /// @param signatures of at least `threshold` operators over the record, ascending by signer
    function startRecovery(Recovery calldata request, bytes[] calldata signatures) external {
        _useNonce(request.member, request.nonce);
        requireQuorum(_hashTypedDataV4(keccak256(abi.encode(RECOVERY_TYPEHASH, request))), signatures);
        delete _reservedFor[replacements[request.member].account];
        _requireNew(request.account);
        _reservedFor[request.account] = uint256(request.member) + 1;
        uint40 from = uint40(block.timestamp) + parameters.recoveryTime;
        replacements[request.member] = Replacement(request.account, from);
        emit RecoveryStarted(request.member, request.account, from);
    }

    /// @notice The calling member has its key and stays where it is.
    function refuseRecovery() external {
        uint32 member = memberOf(msg.sender);
        emit RecoveryRefused(member, _takeReplacement(member).account);
    }

    /// @notice Replaces a member's account after the time for objections. Anybody may. The former account remains the
    /// member's for what it signed earlier.
    function recover(uint32 member) external {
        Replacement memory replacement = _takeReplacement(member);
        require(block.timestamp >= replacement.from, TooEarly(member, replacement.from));
        address former = _members[member].account;
        _giveAccount(member, replacement.account);
        _members[member].account = replacement.account;
        _replacedAt[former] = uint40(block.timestamp);
        emit AccountReplaced(member, former, replacement.account);
    }

    // ------------------------------------------------------------------------------------------------------ questions

    /// @notice Account of a member.
    function accountOf(uint32 member) external view known(member) returns (address) {
        return _members[member].account;
    }

    /// @notice Role of a member.
    function roleOf(uint32 member) external view known(member) returns (Role) {
        return _members[member].role;
    }

    /// @notice When a member was registered, in unix seconds.
    function registeredAt(uint32 member) external view known(member) returns (uint40) {
        return _members[member].registeredAt;
    }

    /// @notice Whether a member takes part: it neither left nor is suspended.
    function isActive(uint32 member) public view known(member) returns (bool) {
        return !_members[member].inactive;
    }

    /// @notice How many signed records about a member were used: the nonce of the next one.
    function recordsOf(uint32 member) public view known(member) returns (uint64) {
        return _members[member].records;
    }

    /// @notice Number of the member with this account.
    function memberOf(address account) public view returns (uint32 member) {
        member = everMemberOf(account);
        require(_members[member].account == account, NotAMember(account));
    }

    /// @notice Number of the member with this account, if it takes part.
    function activeMemberOf(address account) external view returns (uint32 member) {
        member = memberOf(account);
        require(!_members[member].inactive, NotActive(member));
    }

    /// @notice Number of the member that has this account now or had it before it lost the key: for what was signed
    /// earlier.
    function everMemberOf(address account) public view returns (uint32) {
        uint256 number = _numberOfAccount[account];
        require(number != 0, NotAMember(account));
        return uint32(number - 1);
    }

    /// @notice Number of the member for whom an account agrees to what counts in a slot: its own, or the former one where
    /// that was replaced only shortly before the slot began.
    /// @param slot unix seconds
    function memberOfAccountAt(address account, uint64 slot) external view returns (uint32) {
        uint40 replaced = _replacedAt[account];
        require(replaced == 0 || slot < replaced + AGREED, NotAMember(account));
        return everMemberOf(account);
    }

    /// @notice Number of the member with this meter in service.
    function memberOfMeter(address meter) public view returns (uint32) {
        require(_meters[meter].from != 0 && _meters[meter].until == 0, UnknownMeter(meter));
        return _meters[meter].number - 1;
    }

    /// @notice Number of the member whose meter this is or was before it was taken out of service.
    function everMemberOfMeter(address meter) external view returns (uint32) {
        require(_meters[meter].from != 0, UnknownMeter(meter));
        return _meters[meter].number - 1;
    }

    /// @notice Number of the member that had this meter in service when a slot began.
    /// @param slot unix seconds
    function memberOfMeterAt(address meter, uint64 slot) public view returns (uint32) {
        Meter memory found = _meters[meter];
        bool serving = found.from != 0 && found.from <= slot && (found.until == 0 || slot < found.until);
        require(serving, UnknownMeter(meter));
        return found.number - 1;
    }

    /// @notice As `memberOfMeterAt`, of a meter that measured the member's home, not one of its devices.
    /// @param slot unix seconds
    function homeOfMeterAt(address meter, uint64 slot) external view returns (uint32) {
        uint40 deviceFrom = _meters[meter].deviceFrom;
        require(deviceFrom == 0 || slot < deviceFrom, UnknownMeter(meter));
        return memberOfMeterAt(meter, slot);
    }

    // ---------------------------------------------------------------------------------------------------------- parts

    /// @dev What else ends with a meter.
    function _meterRevoked(address meter) internal virtual;

    function _isProvider(address account) private view returns (bool) {
        uint256 number = _numberOfAccount[account];
        if (number == 0) return false;
        Member memory member = _members[number - 1];
        return member.account == account && member.role == Role.ServiceProvider && !member.inactive;
    }

    function _addMember(address account, Role role) private returns (uint32 member) {
        require(role != Role.None, MissingRole(account));
        member = memberCount++;
        _giveAccount(member, account);
        _members[member] = Member(account, role, uint40(block.timestamp), false, false, 0);
        _active[role] += 1;
        emit MemberRegistered(member, account, role);
    }

    function _giveAccount(uint32 member, address account) private {
        _requireNew(account);
        _numberOfAccount[account] = uint256(member) + 1;
    }

    function _requireNew(address account) private view {
        bool unused = _numberOfAccount[account] == 0 && _reservedFor[account] == 0;
        require(account != address(0) && unused, InvalidAccount(account));
    }

    function _addMeter(uint32 member, address meter) private {
        _requireUnused(meter);
        _meters[meter].number = member + 1;
        _takeIntoService(member, meter);
    }

    function _requireUnused(address meter) private view {
        require(meter != address(0) && _meters[meter].from == 0, InvalidMeter(meter));
    }

    function _takeIntoService(uint32 member, address meter) private {
        require(_meters[meter].number == member + 1 && _meters[meter].from == 0, InvalidMeter(meter));
        _meters[meter].from = uint40(block.timestamp);
        _members[member].metered = true;
        emit MeterRegistered(member, meter);
    }

    /// @dev A meter measures a device and never the home again: at once when it is new, else after what was agreed for
    /// the home.
    function _measuresDevice(address meter) internal {
        Meter storage bound = _meters[meter];
        if (bound.deviceFrom != 0) return;
        uint40 time = uint40(block.timestamp);
        bound.deviceFrom = time - bound.from < AGREED ? time : time + AGREED;
    }

    /// @dev The account of a member signed this record.
    function _requireSigned(uint32 member, bytes32 structHash, bytes calldata signature) internal view known(member) {
        address signer = ECDSA.recoverCalldata(_hashTypedDataV4(structHash), signature);
        require(signer == _members[member].account, NotAMember(signer));
    }

    function _setActive(uint32 member, uint8 active) private {
        Member storage changed = _members[member];
        require(active <= 1 && changed.inactive == (active == 1), InvalidStanding(member, active));
        changed.inactive = active == 0;
        if (active == 1) _active[changed.role] += 1;
        else _active[changed.role] -= 1;
        emit StandingChanged(member, active == 1);
    }

    function _useNonce(uint32 member, uint64 nonce) private {
        require(nonce == recordsOf(member), WrongNonce(nonce, recordsOf(member)));
        _members[member].records += 1;
    }

    function _takeReplacement(uint32 member) private returns (Replacement memory replacement) {
        replacement = replacements[member];
        require(replacement.account != address(0), NoReplacement(member));
        delete replacements[member];
        delete _reservedFor[replacement.account];
    }
}
